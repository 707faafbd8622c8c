-- Mint nonces for a signer.
--
-- KEYS[1] string  last nonce of the signer
-- ARGV[1] int     the time to mint from, ms
-- ARGV[2] int     how many
-- ARGV[3] int     how far ahead of that time the last one may stand, ms: beyond it was a broken clock's
--
-- Returns the first; they follow each other.

local now = tonumber(ARGV[1])
local last = math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + ARGV[3])
local first = math.max(now, last + 1)
redis.call('SET', KEYS[1], string.format('%.0f', first + ARGV[2] - 1))
return string.format('%.0f', first)

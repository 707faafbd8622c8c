-- Extend a lease to its full term and note the deadline about to be sent under it.
--
-- KEYS[1] hash    lease of the key
-- KEYS[2] string  heartbeat of the caller's process
-- KEYS[3] zset    claimed
-- ARGV[1] int     fence of the caller
-- ARGV[2] int     term of a lease, ms
-- ARGV[3] int     life of a heartbeat, ms
-- ARGV[4] int     ms after which the key comes due again if the holder dies
-- ARGV[5] int     deadline about to be sent, venue ms
-- ARGV[6] text    the key as member of sets
--
-- Returns 1, or 0 if the lease is another's or has run out.

-- First of all a write: a server that takes none says so here. Nobody else can have the lease then, though it ran out.
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'until', 'noted')
if (held[1] or '') == '' or held[2] ~= ARGV[1] or tonumber(held[3]) <= now then
  return 0
end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2]),
  'noted', string.format('%.0f', math.max(tonumber(held[4] or '0'), tonumber(ARGV[5]))))
redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[4]), ARGV[6])
return 1

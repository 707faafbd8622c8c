-- Put a wish beside the record of a key by compare-and-set, and wake the key.
--
-- KEYS[1] hash    record of the key
-- KEYS[2] hash    asks of the key
-- KEYS[3] hash    wake counters
-- KEYS[4] zset    due
-- ARGV[1] int     version the wish was made from
-- ARGV[2] JSON    Ask; empty = nothing changed, only wake
-- ARGV[3] text    the key as member of sets
--
-- Returns the record's version, or -1 if it had moved.

local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version ~= tonumber(ARGV[1]) then
  return -1
end
if ARGV[2] ~= '' then
  version = version + 1
  redis.call('HSET', KEYS[1], 'version', string.format('%.0f', version))
  redis.call('HSET', KEYS[2], string.format('%.0f', version), ARGV[2])
end
local time = redis.call('TIME')
redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
redis.call('ZADD', KEYS[4], 'LT', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[3])
return version

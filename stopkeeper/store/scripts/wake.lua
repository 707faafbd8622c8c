-- Make a key due unless it is due earlier, and count a wake-up if asked to.
--
-- KEYS[1] hash    wake counters
-- KEYS[2] zset    due
-- ARGV[1] text    the key as member of sets
-- ARGV[2] int     ms until due
-- ARGV[3] int     wake-ups to count: 1 or 0
--
-- Returns the wake counter.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], 'LT', string.format('%.0f', now + ARGV[2]), ARGV[1])
if ARGV[3] == '1' then
  return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
end
return tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')

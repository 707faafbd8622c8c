-- Give the turn to the first who asks in a period.
--
-- KEYS[1] string  when it was last given, ms
-- ARGV[1] int     the period, ms
--
-- Returns 1 if the caller has it, else 0.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local given = tonumber(redis.call('GET', KEYS[1]) or '-1')
-- A moment that is still to come was noted before the clock was set back; nor does a life of the key end then.
if given >= 0 and given <= now and now - given < tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], string.format('%.0f', now), 'PX', ARGV[1])
return 1

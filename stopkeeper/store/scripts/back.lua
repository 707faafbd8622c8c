-- Note that a part of an account is there.
--
-- KEYS[1] hash    missing parts of the account
-- ARGV[1] text    part
--
-- Returns for how many ms it was missing, or -1 if that was told to nobody.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then
  return -1
end
redis.call('HDEL', KEYS[1], ARGV[1])
local at, told = string.match(stored, '^(%d+)|(%d)$')
if told == '0' then
  return -1
end
local time = redis.call('TIME')
return math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(at))

-- Note that a part of an account is missing, and tell one caller when it has been for long enough.
--
-- KEYS[1] hash    missing parts of the account
-- ARGV[1] text    part
-- ARGV[2] int     ms it is to be missing before it is told
--
-- Returns 1 if the caller is to tell it, else 0.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since, told = now, '0'
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  local at, was = string.match(stored, '^(%d+)|(%d)$')
  -- A moment that is still to come was noted by a clock that has been set back since.
  since, told = math.min(tonumber(at), now), was
end
local tell = told == '0' and now - since >= tonumber(ARGV[2])
if tell then
  told = '1'
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', since) .. '|' .. told)
return tell and 1 or 0

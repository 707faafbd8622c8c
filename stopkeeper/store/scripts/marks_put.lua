-- Note values with the time they came: last marks of an account, or that its streams were heard.
--
-- KEYS[1] hash    marks of the account, or who was heard
-- ARGV[1] int     the venue's own time of them, ms; empty = it told none
-- ARGV    per value: symbol or account, value
--
-- Returns nothing.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. '|' .. now .. '|' .. ARGV[1])
end

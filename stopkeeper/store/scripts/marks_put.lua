-- Note the last marks of an account with the time they came.
--
-- KEYS[1] hash    marks of the account
-- ARGV    per mark: symbol, price
--
-- Returns nothing.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. '|' .. now)
end

-- Claim what is due, and what was claimed before and never driven to an end.
--
-- KEYS[1] zset    due
-- KEYS[2] zset    claimed
-- ARGV[1] int     how many at most
-- ARGV[2] int     ms until a claim comes due again
--
-- Returns the members claimed, longest due first.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local again = string.format('%.0f', now + ARGV[2])
local limit = tonumber(ARGV[1])
local mine = {}

for _, source in ipairs({KEYS[1], KEYS[2]}) do
  if #mine < limit then
    local ready = redis.call('ZRANGEBYSCORE', source, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit - #mine)
    for _, member in ipairs(ready) do
      redis.call('ZREM', KEYS[1], member)
      redis.call('ZADD', KEYS[2], again, member)
      mine[#mine + 1] = member
    end
  end
end
return mine

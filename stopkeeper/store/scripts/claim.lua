-- Claim what is due, and what was claimed before and never driven to an end.
--
-- KEYS[1] zset    due
-- KEYS[2] zset    claimed
-- KEYS[3] string  the time of the last claims, ms
-- ARGV[1] int     how many at most
-- ARGV[2] int     ms until a claim comes due again
--
-- Returns the members claimed, longest due first.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A server's clock may be set back: what was due in a moment would come due that much later, so it moves along.
local last = tonumber(redis.call('GET', KEYS[3]) or '0')
if now < last - 1000 then
  for _, source in ipairs({KEYS[1], KEYS[2]}) do
    local standing = redis.call('ZRANGE', source, 0, -1, 'WITHSCORES')
    for i = 1, #standing, 2 do
      redis.call('ZADD', source, string.format('%.0f', standing[i + 1] - (last - now)), standing[i])
    end
  end
end
if now < last - 1000 or now > last + 1000 then
  redis.call('SET', KEYS[3], string.format('%.0f', now))
end

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

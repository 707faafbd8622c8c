-- Take from a token bucket that refills evenly to its capacity within a period.
--
-- KEYS[1] hash    budget of the limit
-- ARGV[1] int     weight; 0 = only look
-- ARGV[2] int     capacity
-- ARGV[3] int     period, ms
-- ARGV[4] int     tokens that must stay
--
-- Returns {ms until the weight would be granted (0 = taken), tokens spent now, rounded up}.

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local weight, capacity, period, reserve = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rate = capacity / period

local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(stored[1] or ARGV[2])
local at = tonumber(stored[2] or now)
if at > now then
  -- The clock was set back: from now on it refills again, not only once that moment has come for a second time.
  redis.call('HSET', KEYS[1], 'at', string.format('%.3f', now))
  redis.call('PEXPIRE', KEYS[1], period * 2)
end
tokens = math.min(capacity, tokens + math.max(0, now - at) * rate)

local wait = 0
if weight > 0 then
  local short = weight + reserve - tokens
  if short > 0 then
    wait = math.ceil(short / rate)
  else
    tokens = tokens - weight
    redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at', string.format('%.3f', now))
    redis.call('PEXPIRE', KEYS[1], period * 2)
  end
end
return {wait, math.ceil(capacity - tokens)}

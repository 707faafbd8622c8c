-- Let go of a lease, unless the key was woken since the holder read its wake counter.
--
-- KEYS[1] hash    lease of the key
-- KEYS[2] set     keys that have a holder
-- KEYS[3] hash    wake counters
-- KEYS[4] zset    due
-- KEYS[5] zset    claimed
-- ARGV[1] int     fence of the caller
-- ARGV[2] int     wake counter as read before the last look; empty = let go whatever it says (abandon)
-- ARGV[3] int     ms until the key is due; empty = only when woken
-- ARGV[4] text    the key as member of sets
--
-- Returns 1 let go, 0 woken and still held, -1 not the caller's lease.

local held = redis.call('HMGET', KEYS[1], 'owner', 'fence', 'noted', 'inherited')
if (held[1] or '') == '' or held[2] ~= ARGV[1] then
  return -1
end
local inherited = held[4] or '0'
if ARGV[2] ~= '' then
  if (redis.call('HGET', KEYS[3], ARGV[4]) or '0') ~= ARGV[2] then
    return 0
  end
else
  -- Who abandons does not say that all it sent was answered.
  inherited = string.format('%.0f', math.max(tonumber(inherited), tonumber(held[3] or '0')))
end
-- Inherited deadlines stay: this holder's clean end says nothing about what a dead one sent.
redis.call('HSET', KEYS[1], 'owner', '', 'boot', '', 'until', '0', 'noted', '0', 'inherited', inherited)
redis.call('SREM', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[5], ARGV[4])
-- What stands in due was put there during this drive (acquire took the rest), so it may not move later or vanish.
if ARGV[3] ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[4], 'LT', string.format('%.0f', now + ARGV[3]), ARGV[4])
end
return 1

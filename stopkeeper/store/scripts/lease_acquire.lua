-- Take the lease of a key unless a live owner holds it, and take over whatever was due for the key.
--
-- KEYS[1] hash    lease of the key
-- KEYS[2] set     keys that have a holder
-- KEYS[3] string  heartbeat of the caller's process
-- KEYS[4] zset    due
-- KEYS[5] zset    claimed
-- ARGV[1] text    owner
-- ARGV[2] text    boot id of the caller's process
-- ARGV[3] int     term of a lease, ms
-- ARGV[4] int     life of a heartbeat, ms
-- ARGV[5] int     ms after which the key comes due again if the holder dies
-- ARGV[6] text    the key as member of sets
-- ARGV[7] text    prefix of heartbeat keys: the holder's is known only in here
--
-- Returns {1, fence, inherited deadline} or {0, the holder's fence}.

local lease = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])

local held = redis.call('HMGET', lease, 'owner', 'boot', 'fence', 'until', 'noted', 'inherited')
local owner, boot, fence = held[1] or '', held[2] or '', tonumber(held[3] or '0')
local inherited = math.max(tonumber(held[6] or '0'), 0)
if owner ~= '' then
  -- An end that is farther away than a term was set before the clock was set back: it says nothing any more.
  local left = tonumber(held[4]) - now
  if left > 0 and left <= tonumber(ARGV[3]) and redis.call('EXISTS', ARGV[7] .. boot) == 1 then
    return {0, held[3]}
  end
  -- It never let go: what it noted may still arrive at the venue.
  inherited = math.max(inherited, tonumber(held[5] or '0'))
end

-- The server's clock keeps the fence rising even where the store went back in time.
local fresh = string.format('%.0f', math.max(fence + 1, time[1] * 1000000 + time[2]))
redis.call('HSET', lease, 'owner', ARGV[1], 'boot', ARGV[2], 'fence', fresh,
  'until', string.format('%.0f', now + ARGV[3]), 'noted', '0', 'inherited', string.format('%.0f', inherited))
redis.call('SADD', KEYS[2], ARGV[6])
-- What was due is this drive's now; should it die, the key comes due again like any other claim.
redis.call('ZREM', KEYS[4], ARGV[6])
redis.call('ZADD', KEYS[5], string.format('%.0f', now + ARGV[5]), ARGV[6])
return {1, fresh, string.format('%.0f', inherited)}

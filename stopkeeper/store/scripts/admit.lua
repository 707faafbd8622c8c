-- Accept a signal: refuse or register it, reserve its notional, put its trade on the key, wake the key.
--
-- KEYS[1] hash    signal of the trade
-- KEYS[2] hash    open trades of the account: trade id -> notional in millionths
-- KEYS[3] hash    record of the key
-- KEYS[4] hash    asks of the key
-- KEYS[5] set     active symbols of the account
-- KEYS[6] hash    wake counters
-- KEYS[7] zset    due
-- ARGV[1] text    trade id
-- ARGV[2] text    signal id
-- ARGV[3] text    account
-- ARGV[4] text    symbol
-- ARGV[5] text    digest of the signal's body
-- ARGV[6] int     notional, millionths of a USD
-- ARGV[7] int     most open trades, -1 = no limit
-- ARGV[8] int     most notional, millionths of a USD, -1 = no limit
-- ARGV[9] JSON    Ask that carries the trade
-- ARGV[10] text   the key as member of sets
--
-- Returns admitted, repeated, conflict, busy, too_many or too_much.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local body = redis.call('HGET', KEYS[1], 'body')
if body then
  -- A write, so that the confirmation that follows on this connection also covers the first acceptance.
  redis.call('HSET', KEYS[1], 'asked', now)
  return body == ARGV[5] and 'repeated' or 'conflict'
end

local record = redis.call('HMGET', KEYS[3], 'version', 'trade', 'admitted')
if (record[2] or '') ~= '' or (record[3] or '') ~= '' then
  return 'busy'
end

local reserved = redis.call('HVALS', KEYS[2])
if tonumber(ARGV[7]) >= 0 and #reserved >= tonumber(ARGV[7]) then
  return 'too_many'
end
local total = tonumber(ARGV[6])
for _, amount in ipairs(reserved) do
  total = total + tonumber(amount)
end
if tonumber(ARGV[8]) >= 0 and total > tonumber(ARGV[8]) then
  return 'too_much'
end

local version = string.format('%.0f', tonumber(record[1] or '0') + 1)
redis.call('HSET', KEYS[1], 'signal_id', ARGV[2], 'account', ARGV[3], 'symbol', ARGV[4], 'body', ARGV[5],
  'state', 'open', 'why', '', 'asked', now)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[6])
redis.call('HSET', KEYS[3], 'version', version, 'admitted', ARGV[1], 'admitted_at', version)
redis.call('HSET', KEYS[4], version, ARGV[9])
redis.call('SADD', KEYS[5], ARGV[4])
redis.call('HINCRBY', KEYS[6], ARGV[10], 1)
redis.call('ZADD', KEYS[7], 'LT', now, ARGV[10])
return 'admitted'

-- Save a drive's record under its fence; book a ledger line and end a trade in the same write.
--
-- KEYS[1] hash    record of the key
-- KEYS[2] hash    asks of the key
-- KEYS[3] hash    lease of the key
-- KEYS[4] hash    open trades of the account
-- KEYS[5] set     active symbols of the account
-- KEYS[6] hash    ledger of the account
-- KEYS[7] hash    results of the account
-- ARGV[1] int     version the record was loaded as
-- ARGV[2] int     fence of the caller
-- ARGV[3] JSON    KeyRecord
-- ARGV[4] text    id of the trade in it, or empty
-- ARGV[5] int     1 if it holds or settles a trade
-- ARGV[6] text    symbol
-- ARGV[7] text    state of the signal whose trade leaves the key: closed or refused
-- ARGV[8] text    why
-- ARGV[9] text    ledger field <trade id>:<revision>, or empty
-- ARGV[10] JSON   LedgerLine, or empty
-- ARGV[11] text   prefix of signal keys: which trade left is known only in here
-- ARGV[12] int    life of a signal after its trade left, ms
-- ARGV[13] text   the line as limits read it, or empty
--
-- Returns {version, ask, ask, ...} with the asks this drive had not seen, oldest first; {-1, why} if refused.

local fence = redis.call('HGET', KEYS[3], 'fence')
if fence ~= ARGV[2] then
  return {-1, 'fence ' .. ARGV[2] .. ' is stale, the key is at ' .. tostring(fence)}
end
local stored = redis.call('HMGET', KEYS[1], 'version', 'base', 'trade', 'admitted', 'admitted_at')
local version, base, seen = tonumber(stored[1] or '0'), tonumber(stored[2] or '0'), tonumber(ARGV[1])
if seen < base or seen > version then
  return {-1, 'version ' .. ARGV[1] .. ' was loaded, the record is at ' .. base .. ' to ' .. version}
end

-- An admitted trade became the key's at load if the document held none; else it waits for that.
local before, admitted = stored[3] or '', stored[4] or ''
if before == '' and admitted ~= '' and tonumber(stored[5]) <= seen then
  before, admitted = admitted, ''
end

local younger = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(field) > seen or (admitted ~= '' and field == stored[5]) then
    younger[#younger + 1] = tonumber(field)
  else
    redis.call('HDEL', KEYS[2], field)
  end
end

local trade = ARGV[4]
if before ~= '' and before ~= trade then
  redis.call('HDEL', KEYS[4], before)
  local signal = ARGV[11] .. before
  if redis.call('EXISTS', signal) == 1 then
    redis.call('HSET', signal, 'state', ARGV[7], 'why', ARGV[8])
    redis.call('PEXPIRE', signal, ARGV[12])
  end
end
if trade ~= '' then
  redis.call('HSETNX', KEYS[4], trade, '0')
end
if ARGV[5] == '1' or admitted ~= '' then
  redis.call('SADD', KEYS[5], ARGV[6])
else
  redis.call('SREM', KEYS[5], ARGV[6])
end
if ARGV[9] ~= '' then
  redis.call('HSETNX', KEYS[6], ARGV[9], ARGV[10])
  redis.call('HSETNX', KEYS[7], ARGV[9], ARGV[13])
end

local fresh = string.format('%.0f', version + 1)
redis.call('HSET', KEYS[1], 'doc', ARGV[3], 'version', fresh, 'base', fresh, 'trade', trade, 'admitted', admitted,
  'admitted_at', admitted ~= '' and stored[5] or '0')

local reply = {fresh}
table.sort(younger)
for _, number in ipairs(younger) do
  reply[#reply + 1] = redis.call('HGET', KEYS[2], string.format('%.0f', number))
end
return reply

-- Note on which server the records are kept, and since when they may have been forgotten.
--
-- KEYS[1] hash    id (run_id of the server), born (ms: when it was first noted), forgot (ms, or empty)
-- ARGV[1] text    born as the caller last heard it; empty = it never asked
--
-- Returns {now, born, forgot}: ms, forgot empty where nothing ever was.
--
-- What was not copied yet is missing after a failover, what was not on disk yet after a restart: the id tells both.
-- After an emptying there is no id: whoever asked before knows that there was one. A server whose INFO is not allowed
-- has an id that never changes.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local info = redis.pcall('INFO', 'server')
local id = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'untold'
local known = redis.call('HMGET', KEYS[1], 'id', 'born', 'forgot')
local born, forgot = known[2] or now, known[3] or ''
local emptied = ARGV[1] ~= '' and ARGV[1] ~= born and forgot == ''
local moved = known[1] and known[1] ~= id
if moved or emptied then
  forgot = now
end
if moved or emptied or not known[1] then
  redis.call('HSET', KEYS[1], 'id', id, 'born', born, 'forgot', forgot)
end
return {now, born, forgot}

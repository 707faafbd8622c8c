-- Note on which server the records are kept, and since when they may have been forgotten.
--
-- KEYS[1] hash    id (run_id of the server), born (ms: when it was first noted), forgot (ms, or empty)
-- ARGV[1] text    born as the caller last heard it; empty = it never asked
--
-- Returns {born, ms since then}; -1 = never.
--
-- What was not copied yet is missing after a failover, what was not on disk yet after a restart: the id tells both.
-- After an emptying there is no id: whoever asked before knows that there was one. Who may not use INFO sees no id.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local info = redis.pcall('INFO', 'server')
local known = redis.call('HMGET', KEYS[1], 'id', 'born', 'forgot')
local was, born, forgot = known[1] or '', known[2] or now, known[3] or ''
local id = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or was
local emptied = ARGV[1] ~= '' and ARGV[1] ~= born and forgot == ''
local moved = was ~= '' and was ~= id
-- A moment that is still to come was noted before the clock was set back: how long ago it was is not known.
local ahead = forgot ~= '' and tonumber(forgot) > tonumber(now)
if moved or emptied or ahead then
  forgot = now
end
if moved or emptied or ahead or known[1] ~= id then
  redis.call('HSET', KEYS[1], 'id', id, 'born', born, 'forgot', forgot)
end
return {born, forgot == '' and -1 or now - forgot}

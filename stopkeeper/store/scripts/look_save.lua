-- Merge the readings of a look into the stored one, field by field; a reading older than the stored one is dropped.
--
-- KEYS[1] hash    look of the account
-- ARGV[1] int     ms by which a reading must be older to count against the watermark
-- ARGV[2] int     how many of those in a row reset it
-- ARGV[3..] per reading: field name, venue ms, JSON
--
-- Returns the field names whose watermark was reset.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local reset = {}

for i = 3, #ARGV, 3 do
  local field, at = ARGV[i], tonumber(ARGV[i + 1])
  local stored = redis.call('HMGET', KEYS[1], field .. ':at', field .. ':older')
  local behind, older = tonumber(stored[1] or '0') - at, 0
  if behind > tonumber(ARGV[1]) then
    older = tonumber(stored[2] or '0') + 1
  end
  if behind <= 0 or older >= tonumber(ARGV[2]) then
    if behind > 0 then
      reset[#reset + 1] = field
    end
    redis.call('HSET', KEYS[1], field, ARGV[i + 2], field .. ':at', ARGV[i + 1], field .. ':seen', now,
      field .. ':older', '0')
  else
    redis.call('HSET', KEYS[1], field .. ':older', string.format('%.0f', older))
  end
end
return reset

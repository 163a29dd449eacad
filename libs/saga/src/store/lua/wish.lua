-- Stores a cancel request, if the instance runs forward and is before its pivot.
-- KEYS[1]   the queue of steps
-- ARGV      id, journal as JSON list
-- Returns   1 when it was stored, else 0
local id, journal = ARGV[1], ARGV[2]
local key = instance(id)
local status, direction, step, pivot = unpack(call('HMGET', key, 'status', 'direction', 'step', 'pivot'))
local open = status == 'running' or status == 'stuck'
if not open or direction ~= 'forward' or tonumber(step) >= tonumber(pivot) then
  return 0
end
call('HSET', key, 'cancel', 1, 'updated', now)
appendJournal(id, journal)
return 1

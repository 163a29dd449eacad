-- Writes a change of an instance, its journal and the task of its next step, if the instance still has that epoch.
-- KEYS[1]   the queue of steps.
-- ARGV      id, epoch to which the change applies, status, journal as JSON list.
--           Then the name of the step that has a result, or '', and the result as JSON.
--           Then the task of the next step: how it is added, or '' for none, and its envelope.
--           Then the other fields of the instance, names and values.
-- Returns   1, or 0 when the instance has another epoch or does not exist.
local id, epoch, status, journal, step, value = unpack(ARGV, 1, 6)
local key = instance(id)
local present, from, created = unpack(call('HMGET', key, 'epoch', 'status', 'created'))
if present ~= epoch then
  return 0
end
call('HSET', key, 'epoch', epoch + 1, 'status', status, 'updated', now, unpack(ARGV, 9))
if step ~= '' then
  call('HSET', key, 'r:' .. step, value)
end
moveToStatus(id, created, from, status)
appendJournal(id, journal)
if ARGV[7] ~= '' then
  enqueue(ARGV[7], ARGV[8])
  wakeForNew()
end
return 1

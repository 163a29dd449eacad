-- Writes what became of an instance, its journal and the task of its next step, if nobody has changed it since.
-- KEYS[1]   the queue of steps
-- ARGV      id, epoch that the change was made from, status, journal as JSON list, name of the step that returned something or '', what it
--           returned as JSON, the task of the next step: how it is added, or '' for none, and its envelope; and the other fields of the
--           instance, names and values
-- Returns   1, or 0 when the instance has changed meanwhile or is not there
local id, epoch, status, journal, step, value = unpack(ARGV, 1, 6)
local key = instance(id)
local was, from, created = unpack(call('HMGET', key, 'epoch', 'status', 'created'))
if was ~= epoch then
  return 0
end
call('HSET', key, 'epoch', epoch + 1, 'status', status, 'updated', now, unpack(ARGV, 9))
if step ~= '' then
  call('HSET', key, 'r:' .. step, value)
end
file(id, created, from, status)
note(id, journal)
if ARGV[7] ~= '' then
  enqueue(ARGV[7], ARGV[8])
  wakeForNew()
end
return 1

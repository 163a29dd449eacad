-- Starts an instance, unless another one has its business key.
-- KEYS[1]   the queue of steps.
-- ARGV      id, name, business key or '', ms until its deadline or '', status, journal as JSON list.
--           Then the task of the first step: how it is added, and its envelope.
--           Then the other fields of the instance, names and values.
-- Returns   the id, or the id of the instance that has the key.
local id, name, key, deadline, status, journal = unpack(ARGV, 1, 6)
local keyOf = base .. ':sk:' .. name .. ' ' .. key
local holder = key ~= '' and call('GET', keyOf)
if holder then
  return holder
end
if key ~= '' then
  call('SET', keyOf, id)
  call('HSET', instance(id), 'key', key)
end
if deadline ~= '' then
  call('HSET', instance(id), 'deadline', now + deadline)
end
call('HSET', instance(id), 'id', id, 'name', name, 'status', status, 'created', now, 'updated', now, unpack(ARGV, 9))
call('ZADD', base .. ':sl', now, id)
moveToStatus(id, now, nil, status)
appendJournal(id, journal)
enqueue(ARGV[7], ARGV[8])
wakeForNew()
return id

-- Removes instances that ended long ago.
-- KEYS[1]   the queue of steps
-- ARGV      minimum age in ms, maximum number of instances
-- Returns   how many were removed
local old = call('ZRANGEBYSCORE', base .. ':se', '-inf', now - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(old) do
  local name, key, status = unpack(call('HMGET', instance(id), 'name', 'key', 'status'))
  if key then
    call('DEL', base .. ':sk:' .. name .. ' ' .. key)
  end
  call('DEL', instance(id), instance(id) .. ':j')
  call('ZREM', base .. ':sl', id)
  call('ZREM', base .. ':se', id)
  if status then
    call('ZREM', base .. ':sl:' .. status, id)
  end
end
return #old

-- Ends a membership. The tasks that the worker still holds wait again.
-- KEYS[1]  the queue, see queue.lua
-- ARGV[1]  worker
-- Returns  how many tasks wait again
local worker, count = ARGV[1], 0
if call('HDEL', base, 'q:' .. worker) == 0 then
  return 0
end
call('ZREM', base .. ':w', worker)
call('SREM', base .. ':i', worker)
for _, stream in ipairs(STREAMS) do
  repeat
    local entries = held(stream, worker, 500)
    for _, entry in ipairs(entries) do
      move(stream, RETURNED, entry[1], 1)
    end
    count = count + #entries
  until #entries < 500
  call('XGROUP', 'DELCONSUMER', stream, 'g', worker)
end
if count > 0 then
  call('HSET', base, 'returned', 1)
  wake(count)
end
return count

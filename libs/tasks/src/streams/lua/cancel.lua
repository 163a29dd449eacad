-- Cancels a task: now if it waits for its time, else when a worker takes it or hears of it at its next beat.
-- KEYS[1]  the queue, see queue.lua
-- ARGV     id
-- Returns  1 when it is cancelled, 0 when it will be if it is there
local KEPT = 1000
local id = ARGV[1]
local task = call('HGET', base .. ':dj', id)
if task then
  call('ZREM', base .. ':d', id)
  call('HDEL', base .. ':dj', id)
  releaseOf(string.sub(task, 2))
  call('HINCRBY', base, 'cancelled', 1)
  return 1
end
call('ZADD', base .. ':cx', now, id)
call('ZREMRANGEBYRANK', base .. ':cx', 0, -KEPT - 1)
call('HINCRBY', base, 'cancels', 1)
return 0

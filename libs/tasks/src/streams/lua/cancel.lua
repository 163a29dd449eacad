-- Cancels a task. A delayed task is cancelled at once. Any other is cancelled when a worker takes it, or when the heartbeat of the
-- worker that runs it reads the list of cancelled tasks.
-- KEYS[1]  the queue, see queue.lua.
-- ARGV     id of the task.
-- Returns  1 when the task is cancelled, 0 when it will be cancelled if it exists.
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

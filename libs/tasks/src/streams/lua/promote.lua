-- Makes a delayed task due now.
-- KEYS[1]   the queue, see queue.lua
-- ARGV[1]   id of the task
-- Returns   1, or 0 when the task is not delayed
if not call('ZSCORE', base .. ':d', ARGV[1]) then
  return 0
end
call('ZADD', base .. ':d', now, ARGV[1])
wake(1)
return 1

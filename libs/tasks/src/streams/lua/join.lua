-- Makes a worker a member of the queue. Creates the streams of the queue if they do not exist.
-- KEYS[1]  the queue, see queue.lua
-- ARGV     worker, lease in ms
-- Returns  1
for _, stream in ipairs(STREAMS) do
  local made = redis.pcall('XGROUP', 'CREATE', stream, 'g', 0, 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
    return made
  end
end
-- The heartbeat thread may start later.
noteHeartbeat(tonumber(ARGV[2]))
call('ZADD', base .. ':w', now + ARGV[2], ARGV[1])
call('HSET', base, 'q:' .. ARGV[1], 0)
return 1

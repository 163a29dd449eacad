-- Counts the tasks of the queue.
-- KEYS[1]  the queue, see queue.lua.
-- ARGV     none.
-- Returns  {`paused`, waiting, delayed, running, dead letters, `oldest`, `recent`, `workers`}.
--          `paused`: the operator who paused the queue, or ''. `oldest`: ms since the longest waiting task was added, or -1.
--          `recent`: tasks that ended in the last minute. `workers`: how many workers hold a task.
local total, oldest = 0, nil
for _, stream in ipairs(STREAMS) do
  total = total + call('XLEN', stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  -- Without a group no worker has ever joined, and all entries wait.
  local last = not groups.err and groups[1] and '(' .. groups[1][8] or '-'
  local first = call('XRANGE', stream, last, '+', 'COUNT', 1)[1]
  local ids = { first and first[1] }
  for _, consumer in ipairs(parkedConsumers(stream, '^~')) do
    local entry = held(stream, consumer, 1)[1]
    ids[#ids + 1] = entry and entry[1]
  end
  for _, id in pairs(ids) do
    local at = tonumber(string.match(id, '^%d+'))
    oldest = math.min(oldest or at, at)
  end
end

local recent = 0
for _, sample in ipairs(call('LRANGE', base .. ':h', 0, -1)) do
  local at, count = string.match(sample, '^(%d+):(%d+)$')
  if now - at <= 60000 then
    recent = ended() - count
  end
end

local busy, workers = running()
local paused = call('HGET', base, 'paused') or ''
return {
  paused,
  total - busy,
  call('ZCARD', base .. ':d'),
  busy,
  call('XLEN', base .. ':x'),
  oldest and now - oldest or -1,
  recent,
  workers,
}

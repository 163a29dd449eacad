-- Removes waiting tasks, delayed ones among them. Tasks that workers hold stay.
-- KEYS[1]  the queue, see queue.lua
-- ARGV     most tasks to remove
-- Returns  removed tasks; fewer than the most allowed when none waits any more
local most, count = tonumber(ARGV[1]), 0

local function drop(stream, entry)
  call('XACK', stream, 'g', entry[1])
  call('XDEL', stream, entry[1])
  releaseOf(entry[2][2])
  count = count + 1
end

for _, stream in ipairs(STREAMS) do
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  local last = not groups.err and groups[1] and '(' .. groups[1][8] or '-'
  if count < most then
    for _, entry in ipairs(call('XRANGE', stream, last, '+', 'COUNT', most - count)) do
      drop(stream, entry)
    end
  end
  for _, consumer in ipairs(parkedConsumers(stream, '^~')) do
    for _, each in ipairs(count < most and held(stream, consumer, most - count) or {}) do
      drop(stream, call('XRANGE', stream, each[1], each[1])[1] or { each[1], { 'd', '' } })
    end
  end
end
for _, id in ipairs(count < most and call('ZRANGE', base .. ':d', 0, most - count - 1) or {}) do
  releaseOf(string.sub(call('HGET', base .. ':dj', id) or '', 2))
  call('ZREM', base .. ':d', id)
  call('HDEL', base .. ':dj', id)
  count = count + 1
end
if count > 0 then
  call('HINCRBY', base, 'cancelled', count)
end
return count

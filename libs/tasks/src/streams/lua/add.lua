-- Adds the tasks that one process has enqueued in one turn of its event loop.
-- KEYS[1]   the queue, see queue.lua.
-- ARGV[1]   most tasks that the queue may hold, 0 for any number.
-- ARGV[2..] for each task how it is added, see enqueue.lua, and its envelope.
-- Returns   for each task: 1, 0 when the queue is full, or the id of the task that already holds its id or dedupe key.
local function room(most)
  if most == 0 then
    return math.huge
  end
  local size = call('ZCARD', base .. ':d')
  for _, stream in ipairs(STREAMS) do
    size = size + call('XLEN', stream)
  end
  return most - size
end

local left = room(tonumber(ARGV[1]))
local answers = {}

for at = 2, #ARGV, 2 do
  if left < 1 then
    answers[#answers + 1] = 0
  else
    local there = enqueue(ARGV[at], ARGV[at + 1])
    answers[#answers + 1] = there or 1
    left = there and left or left - 1
  end
end

wakeForNew()
return answers

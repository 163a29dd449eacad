-- Adds what one process has enqueued in one turn of its event loop.
-- KEYS[1]   the queue, see queue.lua
-- ARGV[1]   most tasks the queue may hold, 0 for any number
-- ARGV[2..] for each task: place of its stream, 1..3, or as JSON [place, ms until it is due, id, whether the id is the caller's
--           own, ms for which its dedupe key is held even if it has ended, dedupe key or '']; and its envelope
-- Returns   for each task 1, 0 when the queue is full, or the id of the task that holds its id or dedupe key
local OWN_ID_MS = 86400000

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
local answers, ready, sooner = {}, 0, false

local function put(place, envelope)
  if place ~= 2 then
    call('HSET', base, 'p' .. place, 1)
  end
  call('XADD', STREAMS[place], '*', 'd', envelope)
  ready = ready + 1
end

-- @return the id of the task that is there instead
local function special(place, delay, id, own, dedupeMs, dedupe, envelope)
  local there = (own and holder('#' .. id)) or (dedupe ~= '' and holder(dedupe))
  if there then
    return there
  end
  if own then
    call('SET', base .. ':u:#' .. id, '0:' .. id, 'PX', OWN_ID_MS)
  end
  if dedupe ~= '' then
    hold(dedupe, id, now + dedupeMs)
  end
  if delay == 0 then
    return put(place, envelope)
  end
  if place ~= 2 then
    call('HSET', base, 'p' .. place, 1)
  end
  call('ZADD', base .. ':d', now + delay, id)
  call('HSET', base .. ':dj', id, place .. envelope)
  sooner = sooner or call('ZRANGE', base .. ':d', 0, 0)[1] == id
end

for at = 2, #ARGV, 2 do
  local how, envelope, there = ARGV[at], ARGV[at + 1], nil
  if left < 1 then
    answers[#answers + 1] = 0
  else
    if #how == 1 then
      put(tonumber(how), envelope)
    else
      local place, delay, id, own, dedupeMs, dedupe = unpack(cjson.decode(how))
      there = special(place, delay, id, own, dedupeMs, dedupe, envelope)
    end
    answers[#answers + 1] = there or 1
    left = there and left or left - 1
  end
end

wake(ready > 0 and ready or sooner and 1 or 0)
return answers

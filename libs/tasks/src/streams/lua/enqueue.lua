-- Adds tasks to a queue. Included by every script that adds tasks. `how` is the number of the stream, 1..3, or a JSON list. The list is
-- [number of the stream, ms until the task is due, id, own, ms of the dedupe key, dedupe key or '']. `own`: whether the caller has
-- chosen the id. The dedupe key is held for its time even if the task has ended.
local OWN_ID_MS = 86400000
local ready, sooner = 0, false

local function put(place, envelope)
  if place ~= 2 then
    call('HSET', base, 'p' .. place, 1)
  end
  call('XADD', STREAMS[place], '*', 'd', envelope)
  ready = ready + 1
end

-- @return the id of the task that holds a dedupe key. A task that is being cancelled never runs again, so that it holds its key only
-- for the requested time.
local function activeHolder(dedupe)
  local id, untilMs = holder(dedupe)
  if id and (untilMs > now or not call('ZSCORE', base .. ':cx', id)) then
    return id
  end
end

local function putSpecial(place, delay, id, own, dedupeMs, dedupe, envelope)
  local there = (own and holder('#' .. id)) or (dedupe ~= '' and activeHolder(dedupe))
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

-- @return the id of the task that already holds the id or dedupe key, or nil when the task was added
local function enqueue(how, envelope)
  if #how == 1 then
    return put(tonumber(how), envelope)
  end
  local place, delay, id, own, dedupeMs, dedupe = unpack(cjson.decode(how))
  return putSpecial(place, delay, id, own, dedupeMs, dedupe, envelope)
end

-- Wakes idle workers for the tasks that were added. Call it once, at the end of the script.
local function wakeForNew()
  wake(ready > 0 and ready or sooner and 1 or 0)
end

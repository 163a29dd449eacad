-- How a task gets into a queue; for every script that adds some. `how` is the place of its stream, 1..3, or as JSON [place, ms until it
-- is due, id, whether the id is the caller's own, ms for which its dedupe key is held even if it has ended, dedupe key or ''].
local OWN_ID_MS = 86400000
local ready, sooner = 0, false

local function put(place, envelope)
  if place ~= 2 then
    call('HSET', base, 'p' .. place, 1)
  end
  call('XADD', STREAMS[place], '*', 'd', envelope)
  ready = ready + 1
end

-- @return the id of the task that holds a dedupe key. One that is to be cancelled never runs again: it holds its key only for the time
-- that was asked for.
local function keeper(dedupe)
  local id, untilMs = holder(dedupe)
  if id and (untilMs > now or not call('ZSCORE', base .. ':cx', id)) then
    return id
  end
end

local function special(place, delay, id, own, dedupeMs, dedupe, envelope)
  local there = (own and holder('#' .. id)) or (dedupe ~= '' and keeper(dedupe))
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

-- @return the id of the task that is there instead
local function enqueue(how, envelope)
  if #how == 1 then
    return put(tonumber(how), envelope)
  end
  local place, delay, id, own, dedupeMs, dedupe = unpack(cjson.decode(how))
  return special(place, delay, id, own, dedupeMs, dedupe, envelope)
end

-- Tells idle workers of what was added; called once, at the end.
local function wakeForNew()
  wake(ready > 0 and ready or sooner and 1 or 0)
end

-- What the scripts of a queue share. KEYS[1] is the queue, `yuxi:q:{<name>}`, a hash; all other keys begin with it and thus lie
-- in its Cluster slot:
--   :1 :2 :3       streams by priority, highest first, with the group g; an entry {d = envelope} is a task, and is gone when it ends
--   :w             living workers, by the end of their lease, ms;  :wd  dead ones whose tasks were not all taken back
--   :i             workers with a free place that found nothing;   :k:<worker>  a list that wakes one of them
--   :d :dj         tasks for later: by time, and stream and envelope by id
--   :x             dead letters;  :cx  ids to be cancelled, by time;  :h  how many had ended at times before, newest first
--   :u:<key>       <time until which it is held anyway, ms>:<id of the task that holds this dedupe key>
-- Fields of the hash: q:<worker> number of its last step (a worker without one is no member), paused (by whom), tat, done,
-- failed, cancelled, retried, recovered, poisoned, beat, and p1 p3 returned suspects parked cancels drain, which are there when they matter.
local base = KEYS[1]
local call = redis.call
local STREAMS = { base .. ':1', base .. ':2', base .. ':3' }
-- Consumers of the group that nobody is: tasks handed back, tasks that met a crash, and with `~<name> <version>` those that whoever
-- had them does not know.
local RETURNED, SUSPECTS = '~returned', '~suspects'

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Tells as many idle workers that there is something to do.
local function wake(count)
  if count < 1 then
    return
  end
  for _, worker in ipairs(call('SPOP', base .. ':i', count)) do
    local list = base .. ':k:' .. worker
    call('LPUSH', list, 1)
    call('PEXPIRE', list, 60000)
  end
end

-- Hands entries that a consumer holds to another one, and says how often they were begun.
local function move(stream, to, id, count)
  return call('XCLAIM', stream, 'g', to, 0, id, 'RETRYCOUNT', count)
end

-- Entries that a consumer holds, oldest first.
local function held(stream, consumer, count)
  return call('XPENDING', stream, 'g', '-', '+', count, consumer)
end

-- Names of those consumers that hold something, where `pattern` matches.
local function nobodies(stream, pattern)
  local names = {}
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'g')
  for _, info in ipairs(consumers.err and {} or consumers) do
    if info[4] > 0 and string.find(info[2], pattern) then
      names[#names + 1] = info[2]
    end
  end
  return names
end

local function bury(place, envelope, attempts, reason)
  call('XADD', base .. ':x', '*', 'd', envelope, 'p', place, 'n', attempts, 'e', reason)
end

-- @return the id of the task that holds a dedupe key, and until when it does anyway
local function holder(key)
  local text = call('GET', base .. ':u:' .. key)
  if text then
    local untilMs, id = string.match(text, '^(%d+):(.*)$')
    return id, tonumber(untilMs)
  end
end

-- A task that never ends must not hold its key for ever.
local function hold(key, id, untilMs)
  call('SET', base .. ':u:' .. key, string.format('%d:%s', untilMs, id), 'PXAT', math.max(untilMs, now + 604800000))
end

-- Lets a dedupe key go that belongs to a task which has ended.
local function release(key, id)
  local owner, untilMs = holder(key)
  if owner ~= id then
    return
  elseif untilMs > now then
    call('PEXPIREAT', base .. ':u:' .. key, untilMs)
  else
    call('DEL', base .. ':u:' .. key)
  end
end

-- The same for a task of which there is only the envelope.
local function releaseOf(envelope)
  local fine, task = pcall(cjson.decode, envelope)
  local extra = fine and type(task) == 'table' and task[5]
  if type(extra) == 'table' and extra.k then
    release(extra.k, task[1])
  end
end

-- Somebody shows that Redis can be reached. When nobody could for so long it was not the workers that were away: they all get the
-- time to say that they live.
local function noteBeat(lease)
  if now - (call('HGET', base, 'beat') or 0) > lease / 2 then
    for _, each in ipairs(call('ZRANGE', base .. ':w', 0, -1)) do
      call('ZADD', base .. ':w', now + lease, each)
    end
  end
  call('HSET', base, 'beat', now)
end

-- Tasks that ended, however they did.
local function ended()
  local sum = 0
  for _, number in ipairs(call('HMGET', base, 'done', 'failed', 'cancelled', 'poisoned')) do
    sum = sum + (number or 0)
  end
  return sum
end

-- Tasks that workers hold, and how many workers do.
local function running()
  local sum, workers = 0, {}
  for _, stream in ipairs(STREAMS) do
    local pending = redis.pcall('XPENDING', stream, 'g')
    for _, consumer in ipairs(not pending.err and pending[4] or {}) do
      if string.sub(consumer[1], 1, 1) ~= '~' then
        sum = sum + consumer[2]
        workers[consumer[1]] = true
      end
    end
  end
  local count = 0
  for _ in pairs(workers) do
    count = count + 1
  end
  return sum, count
end

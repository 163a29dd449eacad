-- Shared by the scripts of a queue. KEYS[1] is the queue, `yuxi:q:{<name>}`, a hash. All other keys begin with it and share its Cluster
-- slot.
--   `:1` `:2` `:3`  streams by priority, highest first, with the group g. An entry {d = envelope} is a task until it has ended.
--   `:w`            living workers, by the end of their lease, ms. `:wd` dead workers that still hold tasks.
--   `:i`            idle workers: they have a free slot and found no task. `:k:<worker>` the list that wakes a worker.
--   `:d` `:dj`      delayed tasks: ids by time, and stream and envelope by id.
--   `:x`            dead letters. `:cx` ids of tasks to cancel, by time. `:h` samples of how many tasks had ended, newest first.
--   `:u:<key>`      dedupe key: <time until which it is held in any case, ms>:<id of the task that holds it>.
-- Fields of the hash: q:<worker>, paused, tat, done, failed, cancelled, retried, recovered, poisoned, beat. `q:<worker>` is the number
-- of its last step; a worker without this field is no member. `paused` is the operator who paused the queue. Fields that exist only
-- while they are needed: p1 p3 returned suspects parked cancels drain.
local base = KEYS[1]
local call = redis.call
local STREAMS = { base .. ':1', base .. ':2', base .. ':3' }
-- Consumers that are no workers hold parked tasks: returned ones, suspects (their process crashed), and in `~<name> <version>` tasks
-- whose handler a worker did not have.
local RETURNED, SUSPECTS = '~returned', '~suspects'

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Wakes up to `count` idle workers.
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

-- Moves an entry to another consumer, and sets how often it was begun.
local function move(stream, to, id, count)
  return call('XCLAIM', stream, 'g', to, 0, id, 'RETRYCOUNT', count)
end

-- Entries that a consumer holds, oldest first.
local function held(stream, consumer, count)
  return call('XPENDING', stream, 'g', '-', '+', count, consumer)
end

-- Names of the consumers that match `pattern` and hold an entry.
local function parkedConsumers(stream, pattern)
  local names = {}
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'g')
  for _, info in ipairs(consumers.err and {} or consumers) do
    if info[4] > 0 and string.find(info[2], pattern) then
      names[#names + 1] = info[2]
    end
  end
  return names
end

local function addDeadLetter(place, envelope, attempts, reason)
  call('XADD', base .. ':x', '*', 'd', envelope, 'p', place, 'n', attempts, 'e', reason)
end

-- @return the id of the task that holds a dedupe key, and until when the key is held in any case
local function holder(key)
  local text = call('GET', base .. ':u:' .. key)
  if text then
    local untilMs, id = string.match(text, '^(%d+):(.*)$')
    return id, tonumber(untilMs)
  end
end

-- The key expires, so that a task that never ends does not hold it for ever.
local function hold(key, id, untilMs)
  call('SET', base .. ':u:' .. key, string.format('%d:%s', untilMs, id), 'PXAT', math.max(untilMs, now + 604800000))
end

-- Releases the dedupe key of a task that has ended.
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

-- The same for a task of which only the envelope is available.
local function releaseOf(envelope)
  local fine, task = pcall(cjson.decode, envelope)
  local extra = fine and type(task) == 'table' and task[5]
  if type(extra) == 'table' and extra.k then
    release(extra.k, task[1])
  end
end

-- Records that a worker can reach Redis. If no worker could for half a lease, Redis was unavailable, not the workers. Then all of them
-- get the time to renew their leases.
local function noteHeartbeat(lease)
  if now - (call('HGET', base, 'beat') or 0) > lease / 2 then
    for _, each in ipairs(call('ZRANGE', base .. ':w', 0, -1)) do
      call('ZADD', base .. ':w', now + lease, each)
    end
  end
  call('HSET', base, 'beat', now)
end

-- How many tasks have ended, with any result.
local function ended()
  local sum = 0
  for _, number in ipairs(call('HMGET', base, 'done', 'failed', 'cancelled', 'poisoned')) do
    sum = sum + (number or 0)
  end
  return sum
end

-- @return how many tasks workers hold, and how many workers hold one
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

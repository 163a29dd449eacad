-- What the scripts of a queue share. KEYS[1] is the queue, `yuxi:q:{<name>}`, a hash; all other keys begin with it and thus lie
-- in its Cluster slot:
--   :1 :2 :3       streams by priority, highest first, with the group g; an entry {d = envelope} is a task, and is gone when it ends
--   :w             living workers, by the end of their lease, ms;  :wd  dead ones whose tasks were not all taken back
--   :i             workers with a free place that found nothing;   :k:<worker>  a list that wakes one of them
--   :d :dj         tasks for later: by time, and stream and envelope by id
--   :x             dead letters;  :cx  ids to be cancelled, by time;  :u:<key>  id of the task that holds a dedupe key
-- Fields of the hash: q:<worker> number of its last step (a worker without one is no member), paused, limit, rate, tat, done,
-- failed, retried, recovered, poisoned, beat, and p1 p3 returned suspects cancels drain, which are there when they matter.
local base = KEYS[1]
local call = redis.call
local STREAMS = { base .. ':1', base .. ':2', base .. ':3' }
-- Consumers of the group that nobody is: tasks handed back, and tasks that met a crash.
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

local function bury(place, envelope, attempts, reason)
  call('XADD', base .. ':x', '*', 'd', envelope, 'p', place, 'n', attempts, 'e', reason)
end

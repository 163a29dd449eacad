-- Runs the operations on locks that one process has collected in one turn of its event loop.
-- Companion keys have the lock key as their hash tag, so that all of them are in its Cluster slot.
--   `yuxi:lockq:{key}`  LIST  tokens of the waiters, first come, first served.
--   `yuxi:lockw:{key}`  HASH  token -> "ttl deadline" of a waiter. Process id -> time until which the process counts as alive.
--   `yuxi:lockf:{key}`  STRING  last fence.
-- A token is "process id.number". Times in the companion keys are those of the server.
-- KEYS[i]  lock key of operation i; a plain string that holds the owner's token (what redis-py's Lock writes).
-- ARGV     four for each operation: its name and three arguments.
--   `acquire token ttl wait` -> fence (string) when held by the token; { ms until it expires (-1: never) } when refused.
--                               When queued: { ms until it expires, lowest fence of a future grant }. Ttl and wait are in ms.
--   `again token ttl wait`   -> the same for a token that may be queued or granted already.
--   `release token`          -> 0 not held by the token, 1 released, 2 granted to the next waiter, whose process gets a message.
--                               When that waiter is of the same process: { its token, fence }.
--   `renew token ttl`        -> 0 not held by the token, 1 renewed.
--   `cancel token`           -> 0 it neither waited nor held the lock, 1 it did and was removed.
--   `pump process`           -> { ms until it expires (-1 never, -2 free), tokens of the process that wait }.
--   `force`                  -> 0 it was free, 1 released on behalf of its owner.
-- Returns  the answer to a single operation; for several operations a list with one answer for each.
local FENCE_TTL = 604800000 -- Last fences are kept for 7 days.
local call = redis.call

local clock
local function micros()
  if not clock then
    local time = call('TIME')
    clock = time[1] * 1000000 + time[2]
  end
  return clock
end

local function text(number)
  return string.format('%.0f', number)
end

-- No fence is lower than the clock. So fences grow even when the last one was lost, or never replicated.
local function nextFence(key)
  local at = 'yuxi:lockf:{' .. key .. '}'
  local fence = text(micros())
  local last = call('SET', at, fence, 'PX', FENCE_TTL, 'GET')
  if not last or tonumber(last) < micros() then
    return fence
  end
  fence = text(last + 1)
  call('SET', at, fence, 'PX', FENCE_TTL)
  return fence
end

-- Most calls: a free lock is acquired, or a lock without waiters is released. Returns nil for all others.
local function fastPath(key, operation, token, ttl)
  if operation == 'acquire' then
    if call('EXISTS', 'yuxi:lockq:{' .. key .. '}') == 0 and call('SET', key, token, 'PX', ttl, 'NX') then
      return nextFence(key)
    end
  elseif operation == 'release' then
    if call('EXISTS', 'yuxi:lockq:{' .. key .. '}') == 0 and call('GET', key) == token then
      call('DEL', key, 'yuxi:lockw:{' .. key .. '}')
      return 1
    end
  end
end

-- Runs before the other functions are defined, because that costs as much as the fast path itself.
if #KEYS == 1 then
  local answer = fastPath(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
  if answer then
    return answer
  end
end

local LEASE = 1500 -- A process that waits counts as alive for this time after its last command, ms.
local PROVISIONAL = 1500 -- Longest ttl of a lock that was granted to a waiter, until the waiter renews it, ms.
local QUEUE_TTL = 60000 -- Queues whose processes have all died expire after this time, ms.

local function millis()
  return math.floor(micros() / 1000)
end

local function queueOf(key)
  return 'yuxi:lockq:{' .. key .. '}'
end

local function waitersOf(key)
  return 'yuxi:lockw:{' .. key .. '}'
end

local function processOf(token)
  return string.match(token, '^[^.]+')
end

-- Grants a lock to the first waiter that still waits and whose process is alive; deletes the key when there is none.
-- Returns its token, and the fence if the waiter is of the calling process, which then needs no message.
local function handOff(key, caller)
  local queue, waiters = queueOf(key), waitersOf(key)
  while true do
    local token = call('LPOP', queue)
    if not token then
      call('DEL', key, waiters)
      return nil
    end
    local process = processOf(token)
    local found = call('HMGET', waiters, token, process)
    call('HDEL', waiters, token)
    local ttl, deadline = string.match(found[1] or '', '^(%d+) (%d+)$')
    if ttl and tonumber(deadline) > millis() and tonumber(found[2] or 0) > millis() then
      call('SET', key, token, 'PX', math.min(ttl, PROVISIONAL))
      local fence = nextFence(key)
      if process == caller then
        return token, fence
      end
      call('PUBLISH', 'yuxi:lockc:' .. process, token .. ' ' .. fence .. ' ' .. key)
      return token
    end
  end
end

-- Appends a waiter to the queue. Its process pumps the key from now on, and each pump renews the TTL of the companion keys.
local function enqueue(key, token, ttl, wait)
  local queue, waiters = queueOf(key), waitersOf(key)
  local deadline, lease = text(millis() + wait), text(millis() + LEASE)
  local added = call('HSET', waiters, token, ttl .. ' ' .. deadline, processOf(token), lease)
  if call('RPUSH', queue, token) == 1 or added == 2 then
    call('PEXPIRE', queue, QUEUE_TTL)
    call('PEXPIRE', waiters, QUEUE_TTL)
  end
end

-- Lowest fence of a future grant. It identifies a late message about an earlier grant of a token that was queued again.
local function leastFence(key)
  return text(math.max(micros(), (call('GET', 'yuxi:lockf:{' .. key .. '}') or 0) + 1))
end

local operations = {}

function operations.acquire(key, token, ttl, wait, before)
  local owner = call('GET', key) or handOff(key)
  if not owner then
    call('SET', key, token, 'PX', ttl)
    return nextFence(key)
  end
  if owner == token then
    -- The answer to the same acquisition was lost, or the message about the grant.
    call('PEXPIRE', key, ttl)
    return call('GET', 'yuxi:lockf:{' .. key .. '}') or nextFence(key)
  end
  if wait == '0' then
    return { call('PTTL', key) }
  end
  if not before or call('HEXISTS', waitersOf(key), token) == 0 then
    enqueue(key, token, ttl, wait)
  end
  return { call('PTTL', key), before and leastFence(key) or '0' }
end

function operations.again(key, token, ttl, wait)
  return operations.acquire(key, token, ttl, wait, true)
end

function operations.release(key, token)
  if call('GET', key) ~= token then
    return 0
  end
  local next, fence = handOff(key, processOf(token))
  return fence and { next, fence } or next and 2 or 1
end

function operations.renew(key, token, ttl)
  if call('GET', key) ~= token then
    return 0
  end
  return call('PEXPIRE', key, ttl)
end

function operations.cancel(key, token)
  local waited = call('HDEL', waitersOf(key), token)
  if waited == 1 then
    call('LREM', queueOf(key), 1, token)
  end
  if call('GET', key) == token then
    handOff(key)
    return 1
  end
  return waited
end

function operations.pump(key, process)
  local queue, waiters = queueOf(key), waitersOf(key)
  local mine = {}
  for _, token in ipairs(call('LRANGE', queue, 0, -1)) do
    if processOf(token) == process then
      mine[#mine + 1] = token
    end
  end
  if #mine > 0 then
    call('HSET', waiters, process, text(millis() + LEASE))
    call('PEXPIRE', queue, QUEUE_TTL)
    call('PEXPIRE', waiters, QUEUE_TTL)
  end
  if call('EXISTS', key) == 0 then
    handOff(key)
  end
  return { call('PTTL', key), mine }
end

function operations.force(key)
  if call('EXISTS', key) == 0 then
    return 0
  end
  handOff(key)
  return 1
end

if #KEYS == 1 then
  return operations[ARGV[1]](KEYS[1], ARGV[2], ARGV[3], ARGV[4])
end
local answers = {}
for i, key in ipairs(KEYS) do
  local at = i * 4 - 3
  local operation, token, ttl, wait = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  answers[i] = fastPath(key, operation, token, ttl) or operations[operation](key, token, ttl, wait)
end
return answers

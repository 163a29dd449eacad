-- Carries out the operations on locks that one process has collected in one turn of its event loop.
-- Companions of a lock key carry it as their tag, so that all of them are in its Cluster slot:
--   yuxi:lockq:{key}  LIST  tokens of the waiters, first come first served
--   yuxi:lockw:{key}  HASH  token -> "ttl deadline" of a waiter; process id -> time until which the process is known to live
--   yuxi:lockf:{key}  STRING  last fence
-- KEYS[i]  lock key of operation i; a plain string that holds the owner's token (what redis-py's Lock writes)
-- ARGV[1]   process id, the part of a token before its dot
-- ARGV[2]   lease of a waiting process, ms
-- ARGV[3]   longest ttl of a lock handed to a waiter, until it renews, ms
-- ARGV[4]   how long the last fence is remembered, ms
-- ARGV[5..] three for each operation: name and two arguments
--   acquire token "ttl wait" -> fence (string) when held by the token; { ms until it expires (-1: never) } when refused;
--                              { ms until it expires, least fence of a grant to come } when queued
--   release token ""         -> 0 not ours, 1 released, 2 handed to the next waiter
--   renew   token ttl        -> 0 not ours, 1 renewed
--   cancel  token ""         -> 0 it was not waiting and not granted, 1 it is neither any more
--   pump    ""    ""         -> { ms until it expires (-1 never, -2 free), tokens of this process that wait }
--   force   ""    ""         -> 0 was free, 1 taken away
-- Returns   one answer for each operation
local LEASE, PROVISIONAL, FENCE_TTL = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local KEPT = 60000 -- queues of processes that all died end by themselves, ms
local call = redis.call

local clock
-- Microseconds of the server; all times in the companions are its own.
local function micros()
  if not clock then
    local time = call('TIME')
    clock = time[1] * 1000000 + time[2]
  end
  return clock
end

local function millis()
  return math.floor(micros() / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

local function queueOf(key)
  return 'yuxi:lockq:{' .. key .. '}'
end

local function waitersOf(key)
  return 'yuxi:lockw:{' .. key .. '}'
end

local function fenceOf(key)
  return 'yuxi:lockf:{' .. key .. '}'
end

-- The clock is the floor: a fence lost with the data, or never replicated, still cannot come back smaller.
local function nextFence(key)
  local at = fenceOf(key)
  local fence = text(micros())
  local last = tonumber(call('SET', at, fence, 'PX', FENCE_TTL, 'GET') or 0)
  if last < micros() then
    return fence
  end
  fence = text(last + 1)
  call('SET', at, fence, 'PX', FENCE_TTL)
  return fence
end

-- Gives a free lock to the first waiter whose process lives and who still waits; frees the key when there is none.
local function handOff(key)
  local queue, waiters = queueOf(key), waitersOf(key)
  while true do
    local token = call('LPOP', queue)
    if not token then
      call('DEL', key, waiters)
      return nil
    end
    local process = string.match(token, '^[^.]+')
    local found = call('HMGET', waiters, token, process)
    call('HDEL', waiters, token)
    local ttl, deadline = string.match(found[1] or '', '^(%d+) (%d+)$')
    if ttl and tonumber(deadline) > millis() and tonumber(found[2] or 0) > millis() then
      call('SET', key, token, 'PX', text(math.min(tonumber(ttl), PROVISIONAL)))
      call('PUBLISH', 'yuxi:lockc:' .. process, token .. ' ' .. nextFence(key) .. ' ' .. key)
      return token
    end
  end
end

-- Puts a token into the queue once. Returns the least fence that a grant from now on can have: a message about an earlier
-- one, for a token that was granted, passed over and queued again, is known by it.
local function wait(key, token, ttl, waitMs)
  local queue, waiters = queueOf(key), waitersOf(key)
  if call('HSETNX', waiters, token, ttl .. ' ' .. text(millis() + waitMs)) == 1 then
    call('RPUSH', queue, token)
  end
  call('HSET', waiters, ARGV[1], text(millis() + LEASE))
  call('PEXPIRE', queue, KEPT)
  call('PEXPIRE', waiters, KEPT)
  return text(math.max(micros(), tonumber(call('GET', fenceOf(key)) or 0) + 1))
end

local operations = {}

function operations.acquire(key, token, how)
  local ttl, waitMs = string.match(how, '^(%d+) (%d+)$')
  local nobodyWaits = call('EXISTS', queueOf(key)) == 0
  if nobodyWaits and call('SET', key, token, 'PX', ttl, 'NX') then
    return nextFence(key)
  end
  local holder = call('GET', key)
  if holder == token then
    -- The answer to the same question was lost.
    call('PEXPIRE', key, ttl)
    return call('GET', fenceOf(key)) or nextFence(key)
  end
  if not holder and not handOff(key) then
    call('SET', key, token, 'PX', ttl)
    return nextFence(key)
  end
  if waitMs == '0' then
    return { call('PTTL', key) }
  end
  return { call('PTTL', key), wait(key, token, ttl, tonumber(waitMs)) }
end

function operations.release(key, token)
  if call('GET', key) ~= token then
    return 0
  end
  return handOff(key) and 2 or 1
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

function operations.pump(key)
  local queue, waiters = queueOf(key), waitersOf(key)
  local mine = {}
  for _, token in ipairs(call('LRANGE', queue, 0, -1)) do
    if string.match(token, '^[^.]+') == ARGV[1] then
      mine[#mine + 1] = token
    end
  end
  if #mine > 0 then
    call('HSET', waiters, ARGV[1], text(millis() + LEASE))
    call('PEXPIRE', queue, KEPT)
    call('PEXPIRE', waiters, KEPT)
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

local answers = {}
for i, key in ipairs(KEYS) do
  local at = 2 + i * 3
  answers[i] = operations[ARGV[at]](key, ARGV[at + 1], ARGV[at + 2])
end
return answers

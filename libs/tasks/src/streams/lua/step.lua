-- One step of a worker: acknowledges tasks that have ended and claims new ones.
-- KEYS[1]   the queue, see queue.lua.
-- ARGV[1..3] worker; number of this step, higher than those before; number of the last step whose reply the worker has received.
-- ARGV[4..6] how many tasks it requests; how many it can begin at once; how many it holds after this step.
-- ARGV[7]   letters: i it is in the set of idle workers, k its handlers are listed, r the entries that it holds are listed.
-- ARGV[8..9] name of the latest list of cancelled tasks that it has received. Limits of the queue as
--           <running at once>:<tasks>:<in so many ms>, each may be empty.
-- ARGV[10..] tasks that succeeded: for each stream their number, at most 2000, and their entries.
-- Then      other acknowledgements: their number, and for each kind, number of the stream, entry and three values.
--           Kinds and values: `r` retry: ms until then, id, envelope. `d` dead letter: attempts, reason, envelope.
--           `c` cancelled: id. `b` returned. `p` unknown to the worker: name, version.
-- Then      dedupe keys to release: their number, and for each key and id of the task.
-- Then      with k the handlers of the worker: their number, and for each name and version.
-- Then      with r the entries that the worker holds, as <stream>:<entry>.
-- Returns   {0} the worker is no member · {-1} a later step was executed before · {-2} the step must be repeated with r.
--           Otherwise {1, ms until a task is due or -1, `mode`, `cancelled`, stream, times begun, {entry, envelope, ...}, ...}.
--           `mode` 1: request nothing until no task is held. `mode` 2: these tasks are suspects.
--           `cancelled`: name of the list of cancelled tasks and their ids, or ''.
local worker, number, answered, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local places, holds, letters, cancels = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]
local limit, rate, span = string.match(ARGV[9], '^(%d*):(%d*):(%d*)$')
limit, rate, span = tonumber(limit), tonumber(rate), tonumber(span)
local PROMOTED, COMPANY, DRAIN_MS, CANCELS = 200, 8, 30000, 1000

local fields = call('HMGET', base, 'q:' .. worker, 'paused', 'returned', 'suspects', 'p1', 'p3', 'cancels', 'parked')
local last, paused, returned, suspects, parked = tonumber(fields[1] or ''), fields[2], fields[3], fields[4], fields[8]
local recount = string.find(letters, 'r', 1, true)
if not last then
  return { 0 }
elseif last >= number then
  return { -1 }
elseif last ~= answered and not recount then
  -- A reply was lost, on the way or with a replaced master: the worker does not have all entries that it holds.
  return { -2 }
end
call('HSET', base, 'q:' .. worker, number)
if string.find(letters, 'i', 1, true) then
  call('SREM', base .. ':i', worker)
end

local at = 10
local function nextArgument()
  at = at + 1
  return ARGV[at - 1]
end

local function count(field, by)
  if by > 0 then
    call('HINCRBY', base, field, by)
  end
end

-- Only a pending entry counts: a step that is repeated after a lost reply changes nothing.
local function remove(stream, entry)
  local was = call('XACK', stream, 'g', entry)
  call('XDEL', stream, entry)
  return was == 1
end

local done = 0
for place = 1, 3 do
  local over = tonumber(nextArgument())
  if over > 0 then
    done = done + call('XACK', STREAMS[place], 'g', unpack(ARGV, at, at + over - 1))
    call('XDEL', STREAMS[place], unpack(ARGV, at, at + over - 1))
    at = at + over
  end
end
count('done', done)

local retried, failed, cancelled = 0, 0, 0
for _ = 1, tonumber(nextArgument()) do
  local kind, place, entry = nextArgument(), nextArgument(), nextArgument()
  local one, two, three = nextArgument(), nextArgument(), nextArgument()
  local stream = STREAMS[tonumber(place)]
  if kind == 'b' then
    if #move(stream, RETURNED, entry, 1) > 0 then
      returned = call('HSET', base, 'returned', 1)
      wake(1)
    end
  elseif kind == 'p' then
    if #move(stream, '~' .. one .. ' ' .. two, entry, 1) > 0 then
      parked = call('HSET', base, 'parked', 1)
    end
  elseif kind == 'c' then
    cancelled = cancelled + (remove(stream, entry) and 1 or 0)
    call('ZREM', base .. ':cx', one)
  elseif remove(stream, entry) then
    if kind == 'd' then
      addDeadLetter(place, three, one, two)
      failed = failed + 1
    else
      call('ZADD', base .. ':d', now + one, two)
      call('HSET', base .. ':dj', two, place .. three)
      retried = retried + 1
    end
  end
end
count('retried', retried)
count('failed', failed)
count('cancelled', cancelled)

for _ = 1, tonumber(nextArgument()) do
  local key = nextArgument()
  release(key, nextArgument())
end

local versions
if string.find(letters, 'k', 1, true) then
  versions = {}
  for _ = 1, tonumber(nextArgument()) do
    local name = nextArgument()
    versions[name] = tonumber(nextArgument())
  end
end

local reply, mode, got = { 1, -1, 0, '' }, 0, 0
local function give(place, entries, begun)
  local given = {}
  for i, entry in ipairs(entries) do
    given[2 * i - 1], given[2 * i] = entry[1], entry[2][2]
  end
  if #entries > 0 then
    local size = #reply
    reply[size + 1], reply[size + 2], reply[size + 3] = place, begun, given
    got = got + #entries
  end
end

-- Entries that the worker holds and has not received.
if recount then
  local known = {}
  for i = at, #ARGV do
    known[ARGV[i]] = true
  end
  for place = 1, 3 do
    for _, entry in ipairs(held(STREAMS[place], worker, 2000)) do
      if not known[place .. ':' .. entry[1]] then
        give(place, move(STREAMS[place], worker, entry[1], entry[4]), entry[4])
      end
    end
  end
  if got > 0 then
    holds = holds + got
  end
end

-- Tasks that are due are appended to their streams.
local promoted = call('ZRANGEBYSCORE', base .. ':d', '-inf', now, 'LIMIT', 0, PROMOTED)
for _, id in ipairs(promoted) do
  local task = call('HGET', base .. ':dj', id)
  if task then
    call('XADD', STREAMS[tonumber(string.sub(task, 1, 1))], '*', 'd', string.sub(task, 2))
  end
  call('ZREM', base .. ':d', id)
  call('HDEL', base .. ':dj', id)
end
local due = call('ZRANGE', base .. ':d', 0, 0, 'WITHSCORES')[2]
reply[2] = due and math.max(0, due - now) or -1

-- A task whose process crashed is a suspect. Suspects run together with other suspects first, then alone, so that the task that kills
-- its process is found without the tasks beside it. A worker takes suspects only while it holds no task. Otherwise one worker at a time
-- drains to make room for them.
local function takeSuspects(most)
  if holds > 0 then
    local drain = call('HGET', base, 'drain')
    local holder, since = string.match(drain or '', '^(.*)@(%d+)$')
    if not holder or holder == worker or now - since > DRAIN_MS then
      call('HSET', base, 'drain', worker .. '@' .. now)
      return 1
    end
    return 0
  end
  for place = 1, 3 do
    local entries = held(STREAMS[place], SUSPECTS, COMPANY)
    if #entries > 0 then
      local begun = entries[1][4]
      local company = begun > 2 and 1 or math.min(COMPANY, most)
      for i = 1, math.min(company, #entries) do
        if entries[i][4] == begun then
          give(place, move(STREAMS[place], worker, entries[i][1], begun), begun)
        end
      end
      return 2
    end
  end
  call('HDEL', base, 'suspects', 'drain')
  return 0
end

-- Generic cell rate (GCRA), as in ATM Forum TM 4.0. The field tat is the time at which the full allowance is available again.
local function allowance()
  local tat = math.max(now, tonumber(call('HGET', base, 'tat') or 0))
  return math.floor((now + span - tat) / (span / rate)), tat
end

local function take(place, most)
  if most < 1 then
    return
  end
  local before = got
  if returned then
    for _, entry in ipairs(held(STREAMS[place], RETURNED, most)) do
      give(place, move(STREAMS[place], worker, entry[1], 1), 1)
    end
    most = most - (got - before)
  end
  local fresh = most > 0 and call('XREADGROUP', 'GROUP', 'g', worker, 'COUNT', most, 'STREAMS', STREAMS[place], '>')
  if fresh then
    give(place, fresh[1][2], 1)
  end
end

-- Tasks whose handler other workers did not have.
local function takeParked(most)
  local left = false
  for place = 1, 3 do
    for _, consumer in ipairs(parkedConsumers(STREAMS[place], '^~.* %d+$')) do
      left = true
      local name, version = string.match(consumer, '^~(.*) (%d+)$')
      local known = (versions[name] or -1) >= tonumber(version)
      for _, entry in ipairs(known and most > 0 and held(STREAMS[place], consumer, most) or {}) do
        give(place, move(STREAMS[place], worker, entry[1], 1), 1)
        most = most - 1
      end
    end
  end
  if not left then
    call('HDEL', base, 'parked')
  end
end

if want > got and not paused then
  local before, most, tat = got, want - got, nil
  if limit then
    most = math.min(most, limit - running())
  end
  if rate then
    local allowed
    allowed, tat = allowance()
    most = math.min(most, allowed)
  end
  if suspects and most > 0 then
    mode = takeSuspects(most)
  end
  if mode == 0 and most > 0 then
    -- Each eighth step begins with the lowest priority, so that no task starves.
    local first, stop, by = 1, 3, 1
    if number % 8 == 0 then
      first, stop, by = 3, 1, -1
    end
    for place = first, stop, by do
      if place == 2 or fields[place == 1 and 5 or 6] then
        take(place, most - (got - before))
      end
    end
    if returned and got - before < most then
      call('HDEL', base, 'returned')
    end
    if parked and versions then
      takeParked(most - (got - before))
    end
  end
  if tat and got > before then
    tat = tat + (got - before) * span / rate
    call('HSET', base, 'tat', tat)
  end
  if tat and most < want then
    local wait = math.ceil(math.max(0, tat + span / rate - span - now))
    reply[2] = reply[2] < 0 and wait or math.min(wait, reply[2])
  end
end

-- A worker without a free slot only fetches ahead. It is not woken, as it would take tasks from workers with free slots.
if got < places and mode == 0 then
  call('SADD', base .. ':i', worker)
end
wake(#promoted - got)
if fields[7] and fields[7] ~= cancels then
  reply[4] = call('ZREVRANGE', base .. ':cx', 0, CANCELS)
  table.insert(reply[4], 1, fields[7])
end
reply[3] = mode
return reply

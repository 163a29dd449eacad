-- Renews the lease of a worker, and recovers tasks of workers whose lease has expired.
-- KEYS[1]  the queue, see queue.lua.
-- ARGV     worker, lease in ms, crashes of a task that runs alone until it is a dead letter.
--          Then the most dead letters, and for how many ms they are kept.
-- Returns  {1 if the worker is a member else 0, recovered tasks, name of the list of cancelled tasks or ''}.
local worker, lease, poison, most, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local PORTION, ORPHANS_MS, CANCEL_MS = 200, 10000, 86400000
local alive, dead = base .. ':w', base .. ':wd'
local fields = call('HMGET', base, 'orphans', 'cancels')
local member = call('ZSCORE', alive, worker)

noteHeartbeat(lease)
if member then
  call('ZADD', alive, now + lease, worker)
end

-- A worker that is declared dead loses its membership at once, before the first of its tasks is given to another worker.
for _, each in ipairs(call('ZRANGEBYSCORE', alive, '-inf', '(' .. now)) do
  call('ZREM', alive, each)
  call('ZADD', dead, now, each)
  call('HDEL', base, 'q:' .. each)
  call('SREM', base .. ':i', each)
end

-- Consumers of the group without a membership, which a failover may have lost.
if now - (fields[1] or 0) > ORPHANS_MS then
  call('HSET', base, 'orphans', now)
  for _, stream in ipairs(STREAMS) do
    local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, 'g')
    for _, info in ipairs(consumers.err and {} or consumers) do
      local name = info[2]
      if string.sub(name, 1, 1) ~= '~' and not call('ZSCORE', alive, name) then
        call('ZADD', dead, 'NX', now, name)
      end
    end
  end
  call('LPUSH', base .. ':h', now .. ':' .. ended())
  call('LTRIM', base .. ':h', 0, 6)
  local old = now - keep
  call('XTRIM', base .. ':x', 'MINID', '~', string.format('%d', old > 0 and old or 0))
  call('XTRIM', base .. ':x', 'MAXLEN', '~', most)
  call('ZREMRANGEBYSCORE', base .. ':cx', '-inf', now - CANCEL_MS)
end

-- `begun` is 1 for a task that ran beside any others, 2 beside other suspects, and from 3 on alone.
local function takeBack(place, entry)
  local stream, id, begun = STREAMS[place], entry[1], entry[4]
  if begun - 2 < poison then
    move(stream, SUSPECTS, id, begun + 1)
    return 1
  end
  local found = call('XRANGE', stream, id, id)[1]
  call('XACK', stream, 'g', id)
  call('XDEL', stream, id)
  if found then
    local envelope = found[2][2]
    local reason = 'the process died ' .. (begun - 2) .. ' times while it ran this task and nothing else'
    addDeadLetter(place, envelope, begun, reason)
    call('HINCRBY', base, 'poisoned', 1)
    releaseOf(envelope)
  end
  return 0
end

local back = 0
for _, each in ipairs(call('ZRANGE', dead, 0, 3)) do
  local left = PORTION
  for place, stream in ipairs(STREAMS) do
    local entries = left > 0 and held(stream, each, left) or {}
    for _, entry in ipairs(entries) do
      back = back + takeBack(place, entry)
    end
    left = left - #entries
  end
  if left > 0 then
    for _, stream in ipairs(STREAMS) do
      call('XGROUP', 'DELCONSUMER', stream, 'g', each)
    end
    call('ZREM', dead, each)
  end
end
if back > 0 then
  call('HSET', base, 'suspects', 1)
  call('HINCRBY', base, 'recovered', back)
  wake(back)
end
return { member and 1 or 0, back, fields[2] or '' }

-- Registers the processes that count here, and detects whether Redis still holds their counters.
-- KEYS[1]   yuxi:limiter:replicas  zset: process -> time of its last heartbeat, ms.
-- KEYS[2]   yuxi:limiter_epoch, in the same slot  hash: id; run: run_id of the server; since: start of the epoch, us.
--           `how`: new, lost (data was missing) or moved (another server, or the server was restarted).
--           `p:<process>`: w while the process has hits to restore, d when it has restored them.
-- ARGV[1]   beat (heartbeat), join, done or leave.
-- ARGV[2]   process.
-- ARGV[3]   epoch of the process, empty: none.
-- ARGV[4]   how long a heartbeat is valid, ms.
-- ARGV[5]   longest time that processes wait for each other, ms.
-- ARGV[6..] join: processes that were alive before.
-- Returns   {now us, epoch (empty: the data was lost), how, ms to wait for others, processes that are alive ...}.
local what, process, prior = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local epoch = {}
local fields = redis.call('HGETALL', KEYS[2])
for i = 1, #fields, 2 do
  epoch[fields[i]] = fields[i + 1]
end

local function hasMembers()
  for field in pairs(epoch) do
    if string.sub(field, 1, 2) == 'p:' then
      return true
    end
  end
  return false
end

local function set(field, value)
  epoch[field] = value
  redis.call('HSET', KEYS[2], field, value)
end

if what == 'join' then
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local lost, moved = not epoch.id, epoch.id and epoch.run ~= run
  -- Begun by a new process, which had no list of processes to wait for.
  local unknown = epoch.id and prior ~= '' and prior ~= epoch.id and not hasMembers()
  if lost or moved or unknown then
    local how = 'moved'
    if lost or unknown and epoch.how == 'new' then
      how = prior == '' and 'new' or 'lost'
    end
    redis.call('DEL', KEYS[2])
    epoch = {}
    set('id', string.format('%08x', now % 4294967296))
    set('run', run)
    set('since', string.format('%.0f', now))
    set('how', how)
    for i = 6, prior == '' and 0 or #ARGV do
      set('p:' .. ARGV[i], 'w')
    end
  end
  if prior ~= '' and prior ~= epoch.id then
    set('p:' .. process, 'w')
  end
elseif what == 'done' and prior == epoch.id and epoch['p:' .. process] then
  set('p:' .. process, 'd')
end

if what == 'leave' then
  redis.call('ZREM', KEYS[1], process)
else
  redis.call('ZADD', KEYS[1], math.floor(now / 1000), process)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. math.floor(now / 1000) - ARGV[4])
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('PEXPIRE', KEYS[2], 604800000)

local wait = 0
for field, value in pairs(epoch) do
  if string.sub(field, 1, 2) == 'p:' and value == 'w' then
    wait = math.max(wait, math.ceil((epoch.since - now) / 1000 + ARGV[5]))
  end
end
local answer = { now, epoch.id or '', epoch.how or '', wait }
for _, alive in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  answer[#answer + 1] = alive
end
return answer

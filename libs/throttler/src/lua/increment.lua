-- One hit against a sliding log, with an optional block after the limit. Times are milliseconds of the server's clock.
-- KEYS[1] state key         hash: e = end of the announced window, b = end of the block (absent: not blocked), n = hits ever
-- KEYS[2] log key           sorted set of the hits that count, scored by the time at which each leaves
-- ARGV[1] ttl               ms for which a hit counts
-- ARGV[2] limit
-- ARGV[3] block             ms of the block after the limit is passed; 0 or less: none, and refused hits are not counted
-- returns {hits, ms to the end of the window, 1 when refused else 0, ms to the end of the refusal}
local ttl, limit, block = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local state = redis.call('HMGET', KEYS[1], 'e', 'b', 'n')
local windowEnd, blockEnd, serial = tonumber(state[1]) or 0, tonumber(state[2]), tonumber(state[3]) or 0
if windowEnd <= now then
  windowEnd = now + ttl
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local hits = redis.call('ZCARD', KEYS[2])

local function count()
  serial = serial + 1
  hits = hits + 1
  redis.call('ZADD', KEYS[2], now + ttl, serial)
end

local refused, retry = 0, 0
if block <= 0 then
  if hits < limit then
    count()
  else
    local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    refused, retry, hits = 1, (oldest or windowEnd) - now, hits + 1
  end
elseif blockEnd and blockEnd <= now then
  redis.call('DEL', KEYS[2])
  blockEnd, hits = nil, 0
  count()
else
  if not blockEnd then
    count()
    if hits > limit then
      blockEnd = now + block
    end
  end
  if blockEnd then
    refused, retry = 1, blockEnd - now
  end
end

local newest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
local life = math.max(windowEnd, blockEnd or 0, tonumber(newest or 0)) - now
life = math.max(1, life)
redis.call('HSET', KEYS[1], 'e', windowEnd, 'n', serial)
if blockEnd then
  redis.call('HSET', KEYS[1], 'b', blockEnd)
else
  redis.call('HDEL', KEYS[1], 'b')
end
redis.call('PEXPIRE', KEYS[1], life)
redis.call('PEXPIRE', KEYS[2], life)
return { hits, windowEnd - now, refused, retry }

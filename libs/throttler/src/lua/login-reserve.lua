-- Reserves one login attempt of an address. Attempts of other systems, which only use the plain counter, count too.
-- KEYS[1] counter           integer string with a TTL; other systems INCR and read it.
-- KEYS[2] log key           hash: attempt id -> server time in ms; "seen" = value of the counter when the log was last updated.
-- ARGV[1] id                unique per attempt.
-- ARGV[2] limit.
-- ARGV[3] window            ms.
-- Returns {1, attempts in the window} when reserved, {0, ms until the next attempt is possible} when refused.
local id, limit, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local seen, times, gone = 0, {}, {}
local log = redis.call('HGETALL', KEYS[2])
for i = 1, #log, 2 do
  local value = tonumber(log[i + 1])
  if log[i] == 'seen' then
    seen = value
  elseif value > now - window then
    times[#times + 1] = value
  else
    gone[#gone + 1] = log[i]
  end
end

-- Attempts that other systems added since. A counter below "seen" was deleted and counts from 0 again.
local counter = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
local foreign = counter - seen
if foreign < 0 then
  foreign = counter
end
-- Their times are unknown, at the latest now. More of them than the limit make no difference.
for i = 1, math.min(foreign, limit) do
  times[#times + 1] = now
  redis.call('HSET', KEYS[2], id .. '/' .. i, now)
end
if foreign > 0 then
  redis.call('HSET', KEYS[2], 'seen', counter)
  redis.call('PEXPIRE', KEYS[2], window)
end

if #times >= limit then
  table.sort(times)
  return { 0, times[#times - limit + 1] + window - now }
end

local attempts = #times + 1
if #gone > 0 then
  redis.call('HDEL', KEYS[2], unpack(gone))
end
redis.call('HSET', KEYS[2], id, now, 'seen', attempts)
redis.call('PEXPIRE', KEYS[2], window)
redis.call('SET', KEYS[1], attempts, 'PX', window)
return { 1, attempts }

-- Takes the lock for one owner, or confirms that this owner has it already.
-- KEYS[1] lock key          plain string that holds the owner's token
-- KEYS[2] fence key         last fence given out for this lock
-- ARGV[1] token             unique per acquisition
-- ARGV[2] ttl               milliseconds the lock lives without renewal
-- ARGV[3] fence ttl         milliseconds the last fence is remembered
-- returns {1, fence} when held by the token, {0, ms until the lock expires (-1: never)} when held by another
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return { 0, redis.call('PTTL', KEYS[1]) }
end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local last = redis.call('GET', KEYS[2])
if holder and last then
  return { 1, last }
end

-- The clock is the floor: a fence lost with the data, or never replicated, still cannot come back smaller.
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
fence = math.max(fence, (tonumber(last) or 0) + 1)
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
return { 1, fence }

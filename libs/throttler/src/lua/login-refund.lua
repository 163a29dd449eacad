-- Refunds one reserved login attempt. Other attempts do not change.
-- KEYS[1] counter           integer string with a TTL.
-- KEYS[2] log key           hash: attempt id -> server time in ms; "seen" = value of the counter when the log was last updated.
-- ARGV[1] id                of the reservation.
-- Returns 1 when refunded, 0 when it did not count any more.
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then
  return 0
end
-- Counter and "seen" decrease by one. Their difference, the attempts of other systems, stays.
local counter = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
local seen = tonumber(redis.call('HGET', KEYS[2], 'seen') or 0)
if counter > 0 then
  redis.call('SET', KEYS[1], counter - 1, 'KEEPTTL')
  redis.call('HSET', KEYS[2], 'seen', math.max(0, seen - 1))
end
return 1

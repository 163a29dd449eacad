-- Sets the remaining life of the lock anew if it is still held by this token.
-- KEYS[1] lock key
-- ARGV[1] token
-- ARGV[2] ttl               milliseconds from now
-- returns 1 when renewed, 0 when absent or held by another
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0

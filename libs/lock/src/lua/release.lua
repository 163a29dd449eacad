-- Deletes the lock if it is still held by this token.
-- KEYS[1] lock key
-- ARGV[1] token
-- returns 1 when deleted, 0 when absent or held by another
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

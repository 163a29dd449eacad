-- One operation on one lock on one node of a quorum.
-- KEYS[1] lock key; a plain string that holds the owner's token.
-- ARGV[1] acquire | renew | release.
-- ARGV[2] token.
-- ARGV[3] ttl, ms (acquire, renew).
-- Returns 1 done, 0 held by another token (acquire) or not held by the token (renew, release).
local key, operation, token = KEYS[1], ARGV[1], ARGV[2]

if redis.call('GET', key) == token then
  if operation == 'release' then
    return redis.call('DEL', key)
  end
  return redis.call('PEXPIRE', key, ARGV[3])
end
if operation == 'acquire' and redis.call('SET', key, token, 'PX', ARGV[3], 'NX') then
  return 1
end
return 0

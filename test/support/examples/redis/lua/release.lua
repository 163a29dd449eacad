-- Deletes a key that holds this token.
-- KEYS: 1 the key
-- ARGV: 1 the token
-- Returns: 1 when it was deleted
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])

-- Sets keys that are free.
-- KEYS: one for each operation.
-- ARGV: 1 the process; then a verb and a token for each operation.
-- Returns: for each operation, whether its key holds its token now
local answers = {}
for i, key in ipairs(KEYS) do
  local owner = ARGV[1] .. ':' .. ARGV[2 * i + 1]
  redis.call('SET', key, owner, 'NX', 'PX', 60000)
  answers[i] = redis.call('GET', key) == owner and 1 or 0
end
return answers

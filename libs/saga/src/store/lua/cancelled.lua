-- Finds the instances with a cancel request.
-- KEYS[1]   the queue of steps
-- ARGV      ids
-- Returns   the ids with a request
local requested = {}
for _, id in ipairs(ARGV) do
  if call('HEXISTS', instance(id), 'cancel') == 1 then
    requested[#requested + 1] = id
  end
end
return requested

-- Reads instances.
-- KEYS[1]   the queue of steps.
-- ARGV      ids.
-- Returns   for each id the fields of the instance, names and values, empty when it does not exist.
--           The last element is the time of the server, ms.
local answers = {}
for _, id in ipairs(ARGV) do
  answers[#answers + 1] = call('HGETALL', instance(id))
end
answers[#answers + 1] = now
return answers

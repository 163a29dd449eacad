-- Reads instances.
-- KEYS[1]   the queue of steps
-- ARGV      ids
-- Returns   the time of the server, ms; and for each id the fields of the instance, names and values, empty when it is not there
local answers = { now }
for _, id in ipairs(ARGV) do
  answers[#answers + 1] = call('HGETALL', instance(id))
end
return answers

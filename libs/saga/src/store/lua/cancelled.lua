-- Which instances somebody wants to be cancelled.
-- KEYS[1]   the queue of steps
-- ARGV      ids
-- Returns   those of them
local wanted = {}
for _, id in ipairs(ARGV) do
  if call('HEXISTS', instance(id), 'cancel') == 1 then
    wanted[#wanted + 1] = id
  end
end
return wanted

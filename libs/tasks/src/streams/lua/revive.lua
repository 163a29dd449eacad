-- Replays dead letters: their tasks wait again.
-- KEYS[1]  the queue, see queue.lua.
-- ARGV     for each: its entry among the dead letters, number of its stream, id, dedupe key or '', envelope.
-- Returns  how many. A task whose dedupe key is held by another task stays a dead letter.
local count = 0
for at = 1, #ARGV, 5 do
  local entry, place, id, key, envelope = unpack(ARGV, at, at + 4)
  if not (key ~= '' and holder(key)) and call('XDEL', base .. ':x', entry) == 1 then
    if key ~= '' then
      hold(key, id, 0)
    end
    if place ~= '2' then
      call('HSET', base, 'p' .. place, 1)
    end
    call('XADD', STREAMS[tonumber(place)], '*', 'd', envelope)
    count = count + 1
  end
end
wake(count)
return count

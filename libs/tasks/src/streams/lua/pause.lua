-- Stops the queue, or lets it go on.
-- KEYS[1]  the queue, see queue.lua
-- ARGV     who stops it, '' to let it go on
-- Returns  1 when that changed something
if ARGV[1] ~= '' then
  return call('HSETNX', base, 'paused', ARGV[1])
end
local was = call('HDEL', base, 'paused')
wake(call('SCARD', base .. ':i'))
return was

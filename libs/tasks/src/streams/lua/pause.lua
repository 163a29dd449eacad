-- Pauses or resumes the queue.
-- KEYS[1]  the queue, see queue.lua
-- ARGV     who pauses it, or '' to resume it
-- Returns  1 when the state has changed, else 0
if ARGV[1] ~= '' then
  return call('HSETNX', base, 'paused', ARGV[1])
end
local was = call('HDEL', base, 'paused')
wake(call('SCARD', base .. ':i'))
return was

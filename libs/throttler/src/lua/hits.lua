-- What the scripts of this library share. The hits of a key are a list, oldest first, behind a header where one is needed.
--   hit     stamp: when it was made, for throttle when it leaves; cost; id: nonce of its process and number
--   header  costs beyond one a hit, in total; end of the block; steps of blocking taken; end of the announced window (throttle
--           only); time of the last reset; id of the hit that took the last step
-- Times are microseconds of the server's clock. Above 128 hits a limit counts by sixteenths of its window: hits of one
-- sixteenth are one entry with the time of the latest, so that none leaves early.
-- ARGV[1] begins with the nonce of the process, 6 characters; the rest is the epoch it works in, none: any.
local call, pack, unpack, match = redis.call, struct.pack, struct.unpack, string.match
local nonce, epoch = match(ARGV[1], '^(......)(.*)$')
if epoch ~= '' and call('HGET', 'yuxi:limiter_epoch:{yuxi:limiter:replicas}', 'id') ~= epoch then
  return redis.error_reply('EPOCH the limits have been lost and are being restored')
end

local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local HIT, HEADER = '>I7I4c6I5', '>I4I7I2I7I7c6I5'
local HIT_SIZE, HEADER_SIZE = 22, 38
local NOBODY = '\0\0\0\0\0\0'
local MOST = 4294967295

-- Reads a key and passes over hits that have left; `life` is added to their stamps. Writes nothing.
local function open(key, life)
  local first = redis.pcall('LINDEX', key, 0)
  -- What is none of ours is as good as none.
  if type(first) == 'table' or first and #first ~= HIT_SIZE and #first ~= HEADER_SIZE then
    call('DEL', key)
    first = false
  end
  local state = {
    key = key,
    hits = first and call('LLEN', key) or 0,
    total = 0,
    oldest = nil,
    newest = nil,
    gone = 0,
    header = false,
    extra = 0,
    blocked = 0,
    level = 0,
    window = 0,
    reset = 0,
    stepper = NOBODY,
    step = 0,
  }
  if first and #first == HEADER_SIZE then
    state.header, state.hits = true, state.hits - 1
    state.extra, state.blocked, state.level, state.window, state.reset, state.stepper, state.step = unpack(HEADER, first)
    first = call('LINDEX', key, 1)
  end
  while first do
    local stamp, cost = unpack('>I7I4', first)
    if stamp + life > now then
      state.oldest = stamp
      break
    end
    state.gone, state.hits, state.extra = state.gone + 1, state.hits - 1, state.extra - cost + 1
    first = call('LINDEX', key, (state.header and 1 or 0) + state.gone)
  end
  state.extra = state.oldest and math.max(0, state.extra) or 0
  state.total = state.hits + state.extra
  return state
end

-- Writes what has changed beside the hits themselves, and keeps the key for `life` from now.
local function save(state, life)
  local key, gone = state.key, state.gone + (state.header and 1 or 0)
  local needed = state.extra > 0 or state.blocked > 0 or state.level > 0 or state.window > 0 or state.reset > 0
  if not needed then
    if gone > 0 then
      call('LPOP', key, gone)
    end
  else
    local header = pack(
      HEADER,
      math.min(state.extra, MOST),
      state.blocked,
      state.level,
      state.window,
      state.reset,
      state.stepper,
      state.step
    )
    if state.header and state.gone == 0 then
      call('LSET', key, 0, header)
    else
      if gone > 0 then
        call('LPOP', key, gone)
      end
      call('LPUSH', key, header)
    end
  end
  state.header, state.gone = needed, 0
  -- Never shorter than the hits count: the server rounds its time down.
  call('PEXPIRE', key, math.ceil(life / 1000) + 1)
end

-- All hits that count, for the rare cases that look at more than the first and the last.
local function hitsOf(state)
  return call('LRANGE', state.key, state.gone + (state.header and 1 or 0), -1)
end

local function before(one, other)
  return (unpack('>I7', one)) < (unpack('>I7', other))
end

-- Writes the hits anew, in their order; the header follows with `save`.
local function rewrite(state, hits)
  table.sort(hits, before)
  call('DEL', state.key)
  state.header, state.gone, state.hits, state.extra, state.oldest, state.newest = false, 0, #hits, 0, nil, nil
  for _, hit in ipairs(hits) do
    local stamp, cost = unpack('>I7I4', hit)
    state.oldest, state.newest, state.extra = state.oldest or stamp, stamp, state.extra + cost - 1
    call('RPUSH', state.key, hit)
  end
  state.total = state.hits + state.extra
end

-- Stamp of the newest hit.
local function newest(state)
  if not state.newest and state.hits > 0 then
    state.newest = unpack('>I7', call('LINDEX', state.key, -1))
  end
  return state.newest
end

-- Adds a hit that is not older than the newest; `grain` is the length of a sixteenth, 0: each hit is an entry, up to 256.
local function push(state, stamp, cost, number, grain)
  local crowded = state.hits >= 256
  if state.hits > 0 and (grain > 0 or crowded) then
    local last, already = unpack('>I7I4', call('LINDEX', state.key, -1))
    if crowded or math.floor(last / grain) == math.floor(stamp / grain) then
      call('LSET', state.key, -1, pack(HIT, math.max(last, stamp), math.min(already + cost, MOST), nonce, number))
      state.newest = math.max(last, stamp)
      if state.hits == 1 then
        state.oldest = state.newest
      end
      state.extra, state.total = state.extra + cost, state.total + cost
      return
    end
  end
  call('RPUSH', state.key, pack(HIT, stamp, cost, nonce, number))
  state.hits, state.extra, state.total = state.hits + 1, state.extra + cost - 1, state.total + cost
  state.oldest, state.newest = state.oldest or stamp, stamp
end

-- Shared by the scripts of this library. A key holds one string. It is read and written as a whole, because a call from a script
-- costs more than the bytes.
--   `kind`    1 byte: 0 hits, 2 entries; 1 more when a header follows.
--   `header`  end of the block; steps of blocking taken; end of the reported window (throttle only); time of the last reset.
--             Then the id of the hit that took the last step.
--   `total`   only with entries: number of hits in all of them.
--   `hit`     oldest first. Stamp: when it was made, for throttle when it expires. Id: nonce of its process, and number.
--   `entry`   for limits above 128: the hits of one sixteenth of the window. It has the form of a hit, with the stamp of the latest
--             one, so that none expires early. Then the number of hits.
-- A cost of n is n equal hits. At most 256 hits or entries are kept, because older ones change no decision. Times are microseconds of
-- the server's clock.
-- ARGV[1] begins with the nonce of the process, 6 characters. The rest is its epoch; empty: any.
local call, pack, unpack, match = redis.call, struct.pack, struct.unpack, string.match
local sub, floor, min, max = string.sub, math.floor, math.min, math.max
local nonce, epoch = match(ARGV[1], '^(......)(.*)$')
if epoch ~= '' and call('HGET', 'yuxi:limiter_epoch:{yuxi:limiter:replicas}', 'id') ~= epoch then
  return redis.error_reply('EPOCH the limits have been lost and are being restored')
end

local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local HIT, ENTRY, HEADER = '>I7c6I5', '>I7c6I5I4', '>I7I2I7I7c6I5'
local HIT_SIZE, ENTRY_SIZE, HEADER_SIZE, TOTAL_SIZE = 18, 22, 34, 5
local MOST_HITS, MOST_COST, MOST_TOTAL = 256, 4294967295, 1099511627775
local NO_NONCE = '\0\0\0\0\0\0'
local NO_HEAD = { blocked = 0, level = 0, window = 0, reset = 0, stepper = NO_NONCE, step = 0 }

local function stampOf(hit)
  return (unpack('>I7', hit))
end

local function costOf(hit)
  return #hit == ENTRY_SIZE and (unpack('>I4', hit, HIT_SIZE + 1)) or 1
end

-- Parses the string of a key. @return whether it has a valid form
local function parse(state, value)
  local kind, at = string.byte(value) - 48, 2
  if kind ~= floor(kind) or kind < 0 or kind > 3 then
    return false
  end
  if kind % 2 == 1 then
    if #value <= HEADER_SIZE then
      return false
    end
    local head = {}
    head.blocked, head.level, head.window, head.reset, head.stepper, head.step = unpack(HEADER, value, at)
    state.head, at = head, at + HEADER_SIZE
  end
  if kind >= 2 then
    if #value < at + TOTAL_SIZE - 1 then
      return false
    end
    state.size, state.total, at = ENTRY_SIZE, unpack('>I5', value, at), at + TOTAL_SIZE
  end
  state.value, state.at = value, at
  return (#value - at + 1) % state.size == 0
end

local function new(key, grain)
  return {
    key = key,
    grain = grain,
    value = '',
    at = 1,
    tail = '',
    size = HIT_SIZE,
    total = 0,
    oldest = nil,
    newest = nil,
    head = NO_HEAD,
  }
end

-- Reads a key and skips expired hits; a hit expires at its stamp plus `life`. `grain`: length of a sixteenth, or 0.
-- Writes nothing.
local function open(key, life, grain)
  local value = redis.pcall('GET', key)
  local state = new(key, grain)
  -- A value of another form counts as an empty key.
  if type(value) ~= 'string' or value == '' then
    return state
  elseif not parse(state, value) then
    return new(key, grain)
  end
  local at, size = state.at, state.size
  while at <= #value do
    local stamp = unpack('>I7', value, at)
    if stamp + life > now then
      state.oldest = stamp
      break
    end
    if size == ENTRY_SIZE then
      state.total = state.total - unpack('>I4', value, at + HIT_SIZE)
    end
    at = at + size
  end
  state.at = at
  if size == HIT_SIZE then
    state.total = (#value - at + 1) / HIT_SIZE
  elseif at > #value then
    state.size, state.total = HIT_SIZE, 0
  end
  return state
end

-- A header that may be changed.
local function headOf(state)
  if state.head == NO_HEAD then
    local copy = {}
    for name, value in pairs(NO_HEAD) do
      copy[name] = value
    end
    state.head = copy
  end
  return state.head
end

-- Writes the key, and keeps it for `life` from now.
local function save(state, life)
  local head, size = state.head, state.size
  local needed = head ~= NO_HEAD and (head.blocked > 0 or head.level > 0 or head.window > 0 or head.reset > 0)
  local kind = size == HIT_SIZE and (needed and '1' or '0') or needed and '3' or '2'
  if needed then
    kind = kind .. pack(HEADER, head.blocked, head.level, head.window, head.reset, head.stepper, head.step)
  elseif state.total == 0 then
    call('DEL', state.key)
    return
  end
  if size == ENTRY_SIZE then
    kind = kind .. pack('>I5', min(state.total, MOST_TOTAL))
  end
  -- One more millisecond, because the server rounds down and the key must not expire before its hits.
  call('SET', state.key, kind .. sub(state.value, state.at) .. state.tail, 'PX', math.ceil(life / 1000) + 1)
end

-- All unexpired hits, in one string.
local function flat(state)
  if state.tail ~= '' then
    state.value, state.at, state.tail = sub(state.value, state.at) .. state.tail, 1, ''
  end
  return state.value
end

-- The unexpired hits as a list, for the rare cases that need more than the first and the last.
local function hitsOf(state)
  local value, hits = flat(state), {}
  for at = state.at, #value, state.size do
    hits[#hits + 1] = sub(value, at, at + state.size - 1)
  end
  return hits
end

local function before(one, other)
  return stampOf(one) < stampOf(other)
end

-- Replaces the hits and sorts them. `save` writes them.
local function rewrite(state, hits)
  table.sort(hits, before)
  while #hits > MOST_HITS do
    table.remove(hits, 1)
  end
  state.total = 0
  for _, hit in ipairs(hits) do
    state.total = state.total + costOf(hit)
  end
  state.size = #(hits[1] or '') == ENTRY_SIZE and ENTRY_SIZE or HIT_SIZE
  state.value, state.at, state.tail = table.concat(hits), 1, ''
  state.oldest, state.newest = hits[1] and stampOf(hits[1]), hits[1] and stampOf(hits[#hits])
end

-- Converts hits to entries.
local function coarsen(state)
  local hits = hitsOf(state)
  for i, hit in ipairs(hits) do
    hits[i] = hit .. pack('>I4', 1)
  end
  state.value, state.at, state.size = table.concat(hits), 1, ENTRY_SIZE
end

-- Stamp of the newest hit; there must be one.
local function newest(state)
  state.newest = state.newest or unpack('>I7', state.value, #state.value - state.size + 1)
  return state.newest
end

-- Skips the oldest hit or entry.
local function drop(state)
  local value, at, size = flat(state), state.at, state.size
  state.total = state.total - (size == ENTRY_SIZE and unpack('>I4', value, at + HIT_SIZE) or 1)
  state.at = at + size
  state.oldest = state.at <= #value and unpack('>I7', value, state.at) or nil
end

-- Cost of the oldest hit or entry; there must be one.
local function oldestCost(state)
  return state.size == ENTRY_SIZE and (unpack('>I4', flat(state), state.at + HIT_SIZE)) or 1
end

-- Stamp of the hit after whose expiry `count` hits have expired.
local function leaving(state, count)
  if count == 1 then
    return state.oldest
  end
  local value = flat(state)
  if state.size == HIT_SIZE then
    return (unpack('>I7', value, state.at + (count - 1) * HIT_SIZE))
  end
  local stamp
  for at = state.at, #value, ENTRY_SIZE do
    if count <= 0 then
      break
    end
    stamp, count = unpack('>I7', value, at), count - unpack('>I4', value, at + HIT_SIZE)
  end
  return stamp
end

-- Adds to the entry of the present sixteenth, or begins a new one.
local function pushEntry(state, stamp, cost, number)
  if state.size == HIT_SIZE then
    coarsen(state)
  end
  local value, last = flat(state), state.total > 0 and newest(state)
  if last and state.grain > 0 and floor(last / state.grain) == floor(stamp / state.grain) then
    local at = #value - ENTRY_SIZE + 1
    state.value, cost = sub(value, 1, at - 1), unpack('>I4', value, at + HIT_SIZE) + cost
    stamp = max(stamp, last)
    if state.oldest == last then
      state.oldest = stamp
    end
  end
  state.tail = pack(ENTRY, stamp, nonce, number, min(cost, MOST_COST))
end

-- Adds hits that are not older than the newest one.
local function push(state, stamp, cost, number)
  if state.grain > 0 or state.size == ENTRY_SIZE then
    pushEntry(state, stamp, cost, number)
  else
    cost = min(cost, MOST_HITS)
    local hit = pack(HIT, stamp, nonce, number)
    state.tail = state.tail .. (cost == 1 and hit or string.rep(hit, cost))
  end
  state.total, state.newest, state.oldest = state.total + cost, max(stamp, state.newest or 0), state.oldest or stamp
  for _ = MOST_HITS + 1, (#state.value - state.at + 1 + #state.tail) / state.size do
    drop(state)
  end
end

-- Hits as the memory storage of @nestjs/throttler counts them, for many keys at once. Stamps are the times at which hits leave.
-- KEYS      one for each hit
-- ARGV[1]   nonce and epoch, see hits.lua
-- ARGV[2..] one for each hit: its number in base 36, ttl, limit, block; ms
-- Returns   for each hit: {now, hits, us to the end of the window, 1 when refused else 0, us to the end of the refusal,
--           us for which a refusal stays the same, 1 when the hit counted else 0};
--           the error EPOCH when the limits are those of another epoch
local min, max = math.min, math.max

-- Hits with different lives leave in another order than they came.
local function insert(state, stamp, number, grain)
  if state.hits == 0 or newest(state) <= stamp then
    return push(state, stamp, 1, number, grain)
  end
  local hits = hitsOf(state)
  hits[#hits + 1] = pack(HIT, stamp, 1, nonce, number)
  rewrite(state, hits)
end

local function hit(key, number, ttl, limit, block)
  local grain = limit > 128 and math.ceil(ttl / 16) or 0
  local state = open(key, 0)
  if state.hits == 0 and state.window <= now and (state.level == 0 or state.blocked <= now) then
    state.blocked, state.level = 0, 0
  end
  local changed, counted, refused, retry = state.window <= now, 0, 0, 0
  if changed then
    state.window = now + ttl
  end
  local function count()
    insert(state, now + ttl, number, grain)
    changed, counted = true, 1
  end

  if block > 0 then
    if state.level == 0 then
      count()
      if state.total > limit then
        state.level, state.blocked = 1, now + block
      end
    end
    retry = state.blocked - now
    if state.level == 1 and retry <= 0 then
      state.level = 0
      rewrite(state, {})
      count()
    end
    refused = state.level
  elseif state.total < limit then
    count()
  else
    refused, retry = 1, (state.hits > 0 and state.oldest or state.window) - now
  end

  if changed then
    save(state, max(0, state.hits > 0 and newest(state) - now or 0, state.window - now, state.level * (state.blocked - now)))
  end
  local hits = state.total + (block <= 0 and refused or 0)
  local same = min(retry, state.window - now, state.hits > 0 and state.oldest - now or retry)
  return { now, hits, state.window - now, refused, retry, same, counted }
end

local answers = {}
for i, key in ipairs(KEYS) do
  local number, ttl, limit, block = match(ARGV[i + 1], '^(%w+) (%S+) (%S+) (%S+)$')
  answers[i] = hit(key, tonumber(number, 36), ttl * 1000, tonumber(limit), block * 1000)
end
return answers

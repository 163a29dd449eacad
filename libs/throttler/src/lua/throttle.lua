-- Counts hits as the memory storage of @nestjs/throttler does, for many keys at once. A stamp is the time at which a hit expires.
-- KEYS      one for each hit.
-- ARGV[1]   nonce and epoch, see hits.lua.
-- ARGV[2..] one for each hit: its number in base 36, ttl, limit, block; ms.
-- Returns   one answer for each hit, as last element the time, us. The error EPOCH when the counters belong to another epoch.
--           An answer is {hits, us to the end of the window, 1 refused else 0, `retry`, `same`, `counted`}.
--           `retry`: us to the end of the refusal. `same`: us for which the refusal stays the same. `counted`: 1 when the hit counted.
--           Only the first two elements are returned when the hit counted and the key never had a block.

-- Hits with different ttl expire in another order than they were made.
local function insert(state, stamp, number)
  if state.total == 0 or newest(state) <= stamp then
    return push(state, stamp, 1, number)
  end
  if state.grain > 0 and state.size == HIT_SIZE then
    coarsen(state)
  end
  local hits, hit = hitsOf(state), pack(HIT, stamp, nonce, number)
  hits[#hits + 1] = state.size == ENTRY_SIZE and hit .. pack('>I4', 1) or hit
  rewrite(state, hits)
end

local function countHit(key, number, ttl, limit, block)
  local state = open(key, 0, limit > 128 and math.ceil(ttl / 16) or 0)
  local head = headOf(state)
  if state.total == 0 and head.window <= now and (head.level == 0 or head.blocked <= now) then
    head.blocked, head.level = 0, 0
  end
  local changed, counted, refused, retry = head.window <= now, 0, 0, 0
  if changed then
    head.window = now + ttl
  end
  local function count()
    insert(state, now + ttl, number)
    changed, counted = true, 1
  end

  if block > 0 then
    if head.level == 0 then
      count()
      if state.total > limit then
        head.level, head.blocked = 1, now + block
      end
    end
    retry = head.blocked - now
    if head.level == 1 and retry <= 0 then
      head.level = 0
      rewrite(state, {})
      count()
    end
    refused = head.level
  elseif state.total < limit then
    count()
  else
    refused, retry = 1, (state.oldest or head.window) - now
  end

  if changed then
    save(state, max(0, state.total > 0 and newest(state) - now or 0, head.window - now, head.level * (head.blocked - now)))
  end
  if block <= 0 and refused == 0 then
    return { state.total, head.window - now }
  end
  local hits = state.total + (block <= 0 and 1 or 0)
  local same = min(retry, head.window - now, state.oldest and state.oldest - now or retry)
  return { hits, head.window - now, refused, retry, same, counted }
end

-- The case of nearly all calls: one more hit in a running window, and the limit is not reached.
-- Returns the string to be written, the hits, us to the end of the window; or nothing when another case applies.
local function fastPath(value, number, ttl, limit)
  if limit > 128 or limit < 1 or ttl < 1 or type(value) == 'table' then
    return nil
  elseif not value then
    return '1' .. pack(HEADER, 0, 0, now + ttl, 0, NO_NONCE, 0) .. pack(HIT, now + ttl, nonce, number), 1, ttl
  end
  local size, at = #value, HEADER_SIZE + 2
  if string.byte(value) ~= 49 or size <= at or (size - at + 1) % HIT_SIZE ~= 0 then
    return nil
  end
  local blocked, level, window = unpack('>I7I2I7', value, 2)
  if blocked > 0 or level > 0 or window <= now or unpack('>I7', value, size - HIT_SIZE + 1) > now + ttl then
    return nil
  end
  while at < size and unpack('>I7', value, at) <= now do
    at = at + HIT_SIZE
  end
  local total = (size - at + 1) / HIT_SIZE + 1
  if total > limit then
    return nil
  end
  local kept = at > HEADER_SIZE + 2 and sub(value, 1, HEADER_SIZE + 1) .. sub(value, at) or value
  return kept .. pack(HIT, now + ttl, nonce, number), total, window - now
end

local function throttle(key, number, ttl, limit, block)
  local value, total, left = fastPath(redis.pcall('GET', key), number, ttl, limit)
  if value then
    call('SET', key, value, 'PX', math.ceil(max(ttl, left) / 1000) + 1)
    return { total, left }
  end
  return countHit(key, number, ttl, limit, block)
end

local answers = {}
for i, key in ipairs(KEYS) do
  local number, ttl, limit, block = match(ARGV[i + 1], '^(%w+) (%S+) (%S+) (%S+)$')
  answers[i] = throttle(key, tonumber(number, 36), ttl * 1000, tonumber(limit), block * 1000)
end
answers[#ARGV] = now
return answers

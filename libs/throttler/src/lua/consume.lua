-- Decides on the requests that one process has collected in one turn of its event loop. Each request has one or several limits. It
-- counts in all of them, or in none when one refuses.
-- KEYS      keys of all requests, one for each limit.
-- ARGV[1]   nonce and epoch, see hits.lua.
-- ARGV[2..] one for each request: the number of its hit in base 36 and its limits, see policy.lua, separated by blanks.
-- Returns   one answer for each request, or a list of answers when it has several limits. The last element is the time, us.
--           An answer is {1 allowed else 0, hits, us until all hits have expired, `retry`}.
--           `retry`: us until the same request is allowed, or the next one when this one is.
--           An answer is only the hits when the request is allowed, all hits expire after a window, and the next request is allowed too.
--           The error EPOCH when the counters belong to another epoch.
local function decide(state, limit, passes, number)
  local refused = state.refused
  if passes and not refused then
    take(state, limit, number)
    if state.head.blocked <= now then
      return state.total
    end
  elseif refused and limit.k and state.head.blocked <= now then
    step(state, limit, number)
    store(state, limit)
    if limit.b then
      announceFull(state, limit)
    end
    refused = max(refused, state.head.blocked - now)
  elseif state.changed then
    store(state, limit)
  end
  return { answerOf(state, limit, refused) }
end

local function check(key, limit)
  local state = readState(key, limit)
  state.refused = refusal(state, limit)
  return state, not state.refused or limit.s
end

-- The case of nearly all requests: one more hit on a key without a header, and the limit is not reached. Creates no table, which
-- halves the cost of a decision. @return the string to be written and the hits, or nothing when another case applies
local function fastPath(value, limit, number)
  if not limit.plain or type(value) == 'table' then
    return nil
  elseif not value then
    return limit.grain == 0 and '0' .. pack(HIT, now, nonce, number) or nil, 1
  end
  local kind, at, size = string.byte(value), 2, #value
  if kind == 48 and limit.grain == 0 and size > 1 and (size - 1) % HIT_SIZE == 0 then
    local stamp = unpack('>I7', value, at)
    if stamp > now then
      return nil
    end
    while stamp and stamp + limit.window <= now do
      at = at + HIT_SIZE
      stamp = at < size and unpack('>I7', value, at)
    end
    local total = (size - at + 1) / HIT_SIZE + 1
    if total > limit.limit then
      return nil
    end
    return (at > 2 and '0' .. sub(value, at) or value) .. pack(HIT, now, nonce, number), total
  elseif kind == 50 and limit.grain > 0 and size >= 6 + ENTRY_SIZE and (size - 6) % ENTRY_SIZE == 0 then
    local oldest, total = unpack('>I7', value, 7), unpack('>I5', value, 2) + 1
    if total > limit.limit or oldest > now or oldest + limit.window <= now then
      return nil
    end
    local last, _, _, cost = unpack(ENTRY, value, size - ENTRY_SIZE + 1)
    if last > now or floor(last / limit.grain) < floor(now / limit.grain) then
      last, cost = size, 0
    else
      last = size - ENTRY_SIZE
    end
    return '2' .. pack('>I5', total) .. sub(value, 7, last) .. pack(ENTRY, now, nonce, number, cost + 1), total
  end
  return nil
end

local function consumeOne(key, number, limit)
  local value, total = fastPath(redis.pcall('GET', key), limit, number)
  if value then
    call('SET', key, value, 'PX', limit.px)
    return total
  end
  local state, passes = check(key, limit)
  return decide(state, limit, passes, number)
end

local function consumeAll(from, number, limits)
  local values, answer = {}, {}
  for i, limit in ipairs(limits) do
    values[i], answer[i] = fastPath(redis.pcall('GET', KEYS[from + i]), limit, number)
    if not values[i] then
      break
    end
  end
  if #values == #limits then
    for i, limit in ipairs(limits) do
      call('SET', KEYS[from + i], values[i], 'PX', limit.px)
    end
    return answer
  end
  local states, passes = {}, true
  for i, limit in ipairs(limits) do
    local passesThis
    states[i], passesThis = check(KEYS[from + i], limit)
    passes = passes and passesThis
  end
  for i, limit in ipairs(limits) do
    answer[i] = decide(states[i], limit, passes, number)
  end
  return answer
end

-- Parsed limits by their text. The requests of one process use few different sets of limits.
local sets = {}
local function limitsOf(text)
  local limits = {}
  for each in string.gmatch(text, '%S+') do
    limits[#limits + 1] = limitOf(each)
  end
  sets[text] = limits
  return limits
end

local answers, from = {}, 0
for i = 2, #ARGV do
  local number, text = match(ARGV[i], '^(%w+) (.*)$')
  local limits = sets[text] or limitsOf(text)
  number = tonumber(number, 36)
  if #limits == 1 then
    answers[i - 1] = consumeOne(KEYS[from + 1], number, limits[1])
  else
    answers[i - 1] = consumeAll(from, number, limits)
  end
  from = from + #limits
end
answers[#ARGV] = now
return answers

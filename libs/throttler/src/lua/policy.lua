-- Limits by policy, shared by consume and manage. A limit on the wire is
--   limit,window ms[,cost[,flags[,base ms,factor,max ms,resetAfter ms]]]
-- with the flags s shadow, b broadcast, k block, d delay.
local floor, min, max = math.floor, math.min, math.max

local known = {}
local function limitOf(text)
  local limit = known[text]
  if limit then
    return limit
  end
  local most, window, more = match(text, '^(%d+),(%d+)(.*)$')
  limit = { limit = tonumber(most), window = window * 1000, cost = 1, grain = 0, kept = window * 1000 }
  if limit.limit > 128 then
    limit.grain = math.ceil(limit.window / 16)
  end
  if more ~= '' then
    local cost, flags, base, factor, longest, resetAfter = match(more, '^,(%d+),?(%a*),?(%d*),?([%d.]*),?(%d*),?(%d*)$')
    limit.cost = tonumber(cost)
    for letter in string.gmatch(flags, '%a') do
      limit[letter] = true
    end
    if base ~= '' then
      limit.base, limit.factor, limit.max = base * 1000, tonumber(factor), longest * 1000
      limit.resetAfter = resetAfter * 1000
      -- As long as a process may know of hits or blocks from before a reset.
      limit.kept = max(limit.kept, limit.max + limit.resetAfter)
    end
  end
  known[text] = limit
  return limit
end

local function look(key, limit)
  local state = open(key, limit.window)
  if state.blocked + (state.level > 0 and limit.resetAfter or 0) <= now then
    state.blocked, state.level, state.stepper, state.step = 0, 0, NOBODY, 0
  end
  if state.reset + limit.kept <= now then
    state.reset = 0
  end
  if state.oldest and state.oldest > now then
    -- The clock ran back, or a server with another one took over: nothing was hit later than now.
    local hits = hitsOf(state)
    for i, hit in ipairs(hits) do
      hits[i] = pack('>I7', now) .. string.sub(hit, 8)
    end
    rewrite(state, hits)
    state.changed = true
  end
  return state
end

local function store(state, limit)
  local life = max(limit.window, state.blocked - now)
  if state.level > 0 then
    life = max(life, state.blocked + (limit.resetAfter or 0) - now)
  end
  if state.reset > 0 then
    life = max(life, state.reset + limit.kept - now)
  end
  save(state, life)
end

-- Until `cost` more fit.
local function untilFit(state, limit, cost)
  local over = state.total + cost - limit.limit
  if cost > limit.limit or not state.oldest then
    return limit.window
  end
  local stamp = state.oldest
  if over > 1 then
    for _, hit in ipairs(hitsOf(state)) do
      local left
      stamp, left = unpack('>I7I4', hit)
      over = over - left
      if over <= 0 then
        break
      end
    end
  end
  return stamp + limit.window - now
end

-- How long the limit refuses; nil: it does not.
local function refusal(state, limit)
  if state.blocked > now then
    return state.blocked - now
  end
  if state.total + limit.cost <= limit.limit or limit.d and limit.cost <= limit.limit then
    return nil
  end
  return untilFit(state, limit, limit.cost)
end

local function announce(what, at, key)
  call('PUBLISH', 'yuxi:limiter_updates', what .. ' ' .. string.format('%.0f', at) .. ' ' .. key)
end

local function announceFull(state, limit)
  if limit.b and (state.blocked > now or state.total >= limit.limit) then
    local blocked = state.blocked > now
    announce(blocked and 'b' or 'f', blocked and state.blocked or now + untilFit(state, limit, 1), state.key)
  end
end

local function step(state, limit, number)
  state.blocked = now + floor(min(limit.max, limit.base * limit.factor ^ state.level))
  state.level = min(state.level + 1, 65535)
  state.stepper, state.step = nonce, number
end

local function take(state, limit, number)
  push(state, now, limit.cost, number, limit.grain)
  if limit.d then
    -- The waits are the limit: who has served them is not counted beyond it.
    for _, hit in ipairs(state.total > limit.limit and hitsOf(state) or {}) do
      local stamp, cost = unpack('>I7I4', hit)
      state.oldest = stamp
      if state.total - cost < limit.limit then
        break
      end
      state.gone, state.hits, state.extra = state.gone + 1, state.hits - 1, state.extra - cost + 1
      state.total = state.total - cost
    end
    if state.total >= limit.limit then
      step(state, limit, number)
    end
  end
  store(state, limit)
  announceFull(state, limit)
end

-- What a caller hears of one limit.
local function tell(state, limit, refused)
  local left = state.hits > 0 and newest(state) + limit.window - now or 0
  return refused and 0 or 1, state.total, max(0, left, state.blocked - now), refused or max(0, state.blocked - now)
end

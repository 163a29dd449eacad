-- Limits by policy, shared by consume and manage. The text form of a limit is
--   limit,window ms[,cost[,flags[,base ms,factor,max ms,resetAfter ms]]]
-- with the flags s dry run, b broadcast, k block, d delay.
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
      -- How long a process may still send hits or blocks from before a reset.
      limit.kept = max(limit.kept, limit.max + limit.resetAfter)
    end
  end
  -- As text, so that it is not converted at each call.
  limit.px = string.format('%.0f', math.ceil(limit.window / 1000) + 1)
  limit.plain = limit.cost == 1 and not limit.b and not limit.d
  known[text] = limit
  return limit
end

local function readState(key, limit)
  local state = open(key, limit.window, limit.grain)
  local head = state.head
  if head ~= NO_HEAD then
    if head.blocked + (head.level > 0 and limit.resetAfter or 0) <= now then
      head.blocked, head.level, head.stepper, head.step = 0, 0, NO_NONCE, 0
    end
    if head.reset + limit.kept <= now then
      head.reset = 0
    end
  end
  if state.oldest and state.oldest > now then
    -- The clock was set back, or another server with another clock took over. No hit can be later than now.
    local hits = hitsOf(state)
    for i, hit in ipairs(hits) do
      hits[i] = pack('>I7', now) .. sub(hit, 8)
    end
    rewrite(state, hits)
    state.changed = true
  end
  return state
end

local function store(state, limit)
  local head, life = state.head, limit.window
  if head ~= NO_HEAD then
    life = max(life, head.blocked - now)
    if head.level > 0 then
      life = max(life, head.blocked + (limit.resetAfter or 0) - now)
    end
    if head.reset > 0 then
      life = max(life, head.reset + limit.kept - now)
    end
  end
  save(state, life)
end

-- Time until a hit with this cost is allowed.
local function untilFit(state, limit, cost)
  if cost > limit.limit or not state.oldest then
    return limit.window
  end
  return leaving(state, state.total + cost - limit.limit) + limit.window - now
end

-- Time for which the limit refuses; nil: it does not.
local function refusal(state, limit)
  if state.head.blocked > now then
    return state.head.blocked - now
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
  local blocked = state.head.blocked
  if blocked > now then
    announce('b', blocked, state.key)
  elseif state.total >= limit.limit then
    announce('f', now + untilFit(state, limit, 1), state.key)
  end
end

local function step(state, limit, number)
  local head = headOf(state)
  head.blocked = now + floor(min(limit.max, limit.base * limit.factor ^ head.level))
  head.level = min(head.level + 1, 65535)
  head.stepper, head.step = nonce, number
end

local function take(state, limit, number)
  push(state, now, limit.cost, number)
  if limit.d and state.total >= limit.limit then
    -- With a delay the waits are the limit, so hits beyond it are not kept.
    while state.total - oldestCost(state) >= limit.limit do
      drop(state)
    end
    step(state, limit, number)
  end
  store(state, limit)
  if limit.b then
    announceFull(state, limit)
  end
end

-- The four values of an answer for one limit.
local function answerOf(state, limit, refused)
  local left = state.total > 0 and newest(state) + limit.window - now or 0
  local blocked = max(0, state.head.blocked - now)
  return refused and 0 or 1, state.total, max(left, blocked), refused or blocked
end

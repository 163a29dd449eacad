-- What else happens to limits, for many keys at once.
-- KEYS      one for each operation
-- ARGV[1]   nonce and epoch, see hits.lua
-- ARGV[2..] one for each operation: a letter, the number of a hit in base 36, and what it needs; limit: see policy.lua
--   a limit         count without a decision -> {now, 1 it would let pass else 0, hits, us until all have left, us until it would}
--   i limit         look                     -> as a
--   f stamp limit   take a hit back          -> 1 taken back, 0 it counted no longer
--   r at limit      forget hits and blocks up to a time, us, 0: now -> that time
--   b ms limit      refuse for so long       -> now
--   p life grain how blocked level since window kept hits   put back what Redis may have lost, us; hits are stamp.cost.number;
--     life: of a stamp, grain: of a sixteenth or 0; how: s counts of a sixteenth add up, m it has at least ours;
--     since: when the block was known; kept: when all of it is over -> hits that were missing
-- Returns   one answer for each operation; the error EPOCH when the limits are those of another epoch
local operations = {}

function operations.i(key, _, what)
  local limit = limitOf(what)
  local state = look(key, limit)
  return { now, tell(state, limit, refusal(state, limit)) }
end

function operations.a(key, number, what)
  local limit = limitOf(what)
  local state = look(key, limit)
  take(state, limit, number)
  return { now, tell(state, limit, refusal(state, limit)) }
end

-- Takes the hit out of the list, or out of the sixteenth that it was added to.
local function takeOut(state, limit, number, stamp)
  if stamp + limit.window <= now then
    return false
  end
  if call('LREM', state.key, -1, pack(HIT, stamp, limit.cost, nonce, number)) == 1 then
    state.hits, state.extra, state.total = state.hits - 1, state.extra - limit.cost + 1, state.total - limit.cost
    return true
  end
  local hits = limit.grain > 0 and hitsOf(state) or {}
  for i, hit in ipairs(hits) do
    local made, cost = unpack('>I7I4', hit)
    if floor(made / limit.grain) == floor(stamp / limit.grain) then
      local left = cost - limit.cost
      hits[i] = pack('>I7I4', made, max(0, left)) .. string.sub(hit, 12)
      if left <= 0 then
        table.remove(hits, i)
      end
      rewrite(state, hits)
      return true
    end
  end
  return false
end

function operations.f(key, number, what)
  local stamp, text = match(what, '^(%d+) (%S+)$')
  local limit = limitOf(text)
  local state = look(key, limit)
  local wasFull = state.total >= limit.limit or state.blocked > now
  local taken = takeOut(state, limit, number, tonumber(stamp))
  local stepped = state.stepper == nonce and state.step == number
  if stepped then
    state.level, state.stepper, state.step = max(0, state.level - 1), NOBODY, 0
    -- Earlier steps are remembered for as long as if theirs ended now.
    state.blocked = state.level > 0 and now or 0
  end
  if taken or stepped then
    store(state, limit)
    if wasFull then
      announce('u', now, key)
    end
  end
  return taken and 1 or 0
end

function operations.r(key, _, what)
  local at, text = match(what, '^(%d+) (%S+)$')
  local limit = limitOf(text)
  local state, left = look(key, limit), {}
  at = at == '0' and now or min(tonumber(at), now)
  for _, hit in ipairs(at < now and hitsOf(state) or {}) do
    if (unpack('>I7', hit)) > at then
      left[#left + 1] = hit
    end
  end
  rewrite(state, left)
  state.blocked, state.level, state.stepper, state.step, state.reset = 0, 0, NOBODY, 0, max(at, state.reset)
  store(state, limit)
  announce('r', at, key)
  return at
end

function operations.b(key, _, what)
  local ms, text = match(what, '^(%d+) (%S+)$')
  local limit = limitOf(text)
  local state = look(key, limit)
  state.blocked = now + ms * 1000
  store(state, limit)
  announce('b', state.blocked, key)
  return now
end

-- Adds to `hits` what they lack of one; `at` finds them by id or by sixteenth.
local function putBack(hits, at, id, hit, stamp, cost, sum)
  local known = at[id]
  if not known then
    hits[#hits + 1] = hit
    at[id] = #hits
    return cost
  end
  local made, already = unpack('>I7I4', hits[known])
  local missing = sum and cost or max(0, cost - already)
  hits[known] = pack('>I7I4', max(made, stamp), already + missing) .. string.sub(hits[known], 12)
  return missing
end

function operations.p(key, _, what)
  local life, grain, how, blocked, level, since, window, kept, list =
    match(what, '^(%d+) (%d+) (%a) (%d+) (%d+) (%d+) (%d+) (%d+) (%S*)$')
  life, grain, blocked, window = tonumber(life), tonumber(grain), tonumber(blocked), tonumber(window)
  local state = open(key, life)
  local left, added, hits, at = max(0, call('PTTL', key)) * 1000, 0, hitsOf(state), {}
  local function idOf(stamp, id)
    return grain > 0 and floor(stamp / grain) or id
  end
  for i, hit in ipairs(hits) do
    at[idOf(unpack('>I7', hit), string.sub(hit, 12))] = i
  end
  for stamp, cost, number in string.gmatch(list, '(%d+)%.(%d+)%.(%w+)') do
    stamp, cost = life > 0 and min(tonumber(stamp), now) or tonumber(stamp), tonumber(cost)
    if stamp + life > now and (life == 0 or stamp > state.reset) then
      local hit = pack(HIT, stamp, cost, nonce, tonumber(number, 36))
      added = added + putBack(hits, at, idOf(stamp, string.sub(hit, 12)), hit, stamp, cost, grain > 0 and how == 's')
    end
  end
  local later = tonumber(since) > state.reset and blocked > state.blocked
  if later then
    state.blocked, state.level = blocked, max(state.level, tonumber(level))
  end
  if added > 0 or later or window > max(state.window, now) then
    state.window = max(state.window, window)
    rewrite(state, hits)
    save(state, max(left, kept - now))
  end
  return added
end

local answers = {}
for i, key in ipairs(KEYS) do
  local letter, number, what = match(ARGV[i + 1], '^(%a)(%w*) (.*)$')
  answers[i] = operations[letter](key, tonumber(number, 36), what)
end
return answers

-- All operations on limits except decisions, for many keys at once.
-- KEYS      one for each operation.
-- ARGV[1]   nonce and epoch, see hits.lua.
-- ARGV[2..] one for each operation: a letter, the number of a hit in base 36, and its arguments. For a limit see policy.lua.
--   `a limit`         count without a decision -> {1 allowed else 0, hits, us until all hits have expired,
--                                                  us until a request would be allowed}.
--   `i limit`         inspect                  -> as a.
--   `f stamp limit`   refund a hit             -> 1 refunded, 0 it did not count any more.
--   `r at limit`      remove hits and blocks up to a time, us, 0: now -> that time.
--   `b ms limit`      refuse every hit for this time -> 1.
--   `p life grain how blocked level since window kept hits`   restore hits that Redis may have lost -> number of missing hits.
--     Times in us. Hits are stamp.cost.number. `life`: a hit expires at stamp + life. `grain`: length of a sixteenth, or 0.
--     `how`: s adds to the count of a sixteenth, m raises it to at least this count. `since`: when the block was reported.
--     `kept`: when all of this has expired.
-- Returns   one answer for each operation, as last element the time, us. The error EPOCH when the counters belong to another epoch.
local operations = {}

function operations.i(key, _, what)
  local limit = limitOf(what)
  local state = readState(key, limit)
  return { answerOf(state, limit, refusal(state, limit)) }
end

function operations.a(key, number, what)
  local limit = limitOf(what)
  local state = readState(key, limit)
  take(state, limit, number)
  return { answerOf(state, limit, refusal(state, limit)) }
end

-- Removes hits from the list, or from the entry of their sixteenth.
local function takeOut(state, limit, number, stamp)
  if stamp + limit.window <= now then
    return false
  end
  local grain, left, kept, id = limit.grain, limit.cost, {}, pack(HIT, stamp, nonce, number)
  for _, hit in ipairs(hitsOf(state)) do
    local same = sub(hit, 1, HIT_SIZE) == id or grain > 0 and floor(stampOf(hit) / grain) == floor(stamp / grain)
    local rest = same and left > 0 and costOf(hit) - left or nil
    left = rest and max(0, -rest) or left
    if not rest then
      kept[#kept + 1] = hit
    elseif rest > 0 then
      kept[#kept + 1] = sub(hit, 1, HIT_SIZE) .. pack('>I4', rest)
    end
  end
  rewrite(state, kept)
  return left < limit.cost
end

function operations.f(key, number, what)
  local stamp, text = match(what, '^(%d+) (%S+)$')
  local limit = limitOf(text)
  local state = readState(key, limit)
  local wasFull = state.total >= limit.limit or state.head.blocked > now
  local taken = takeOut(state, limit, number, tonumber(stamp))
  local stepped = state.head.stepper == nonce and state.head.step == number
  if stepped then
    local head = headOf(state)
    head.level, head.stepper, head.step = max(0, head.level - 1), NO_NONCE, 0
    -- Earlier steps expire as if the last of them ended now.
    head.blocked = head.level > 0 and now or 0
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
  local state, left = readState(key, limit), {}
  at = at == '0' and now or min(tonumber(at), now)
  for _, hit in ipairs(at < now and hitsOf(state) or {}) do
    if stampOf(hit) > at then
      left[#left + 1] = hit
    end
  end
  rewrite(state, left)
  local head = headOf(state)
  head.blocked, head.level, head.stepper, head.step, head.reset = 0, 0, NO_NONCE, 0, max(at, head.reset)
  store(state, limit)
  announce('r', at, key)
  return at
end

function operations.b(key, _, what)
  local ms, text = match(what, '^(%d+) (%S+)$')
  local limit = limitOf(text)
  local state = readState(key, limit)
  headOf(state).blocked = now + ms * 1000
  store(state, limit)
  announce('b', state.head.blocked, key)
  return 1
end

-- Adds the missing part of a hit to `hits`. `at`: index in `hits` by id, or by sixteenth.
local function putBack(hits, at, stamp, id, cost, grain, sum, asEntry)
  if grain == 0 then
    local hit = pack('>I7', stamp) .. id
    for _ = 1, at[id] and 0 or asEntry and 1 or min(cost, MOST_HITS) do
      hits[#hits + 1] = asEntry and hit .. pack('>I4', cost) or hit
    end
    return at[id] and 0 or cost
  end
  local sixteenth = floor(stamp / grain)
  local hit = at[sixteenth] and hits[at[sixteenth]]
  local already = hit and costOf(hit) or 0
  local missing = sum and cost or max(0, cost - already)
  at[sixteenth] = at[sixteenth] or #hits + 1
  hits[at[sixteenth]] = pack('>I7', max(stamp, hit and stampOf(hit) or 0)) .. id .. pack('>I4', already + missing)
  return missing
end

function operations.p(key, _, what)
  local life, grain, how, blocked, level, since, window, kept, list =
    match(what, '^(%d+) (%d+) (%a) (%d+) (%d+) (%d+) (%d+) (%d+) (%S*)$')
  life, grain, blocked, window = tonumber(life), tonumber(grain), tonumber(blocked), tonumber(window)
  local state = open(key, life, grain)
  if grain > 0 and state.size == HIT_SIZE then
    coarsen(state)
  end
  local asEntry = state.size == ENTRY_SIZE
  local left, added, hits, at = max(0, call('PTTL', key)) * 1000, 0, hitsOf(state), {}
  for i, hit in ipairs(hits) do
    at[grain > 0 and floor(stampOf(hit) / grain) or sub(hit, 8, HIT_SIZE)] = i
  end
  for stamp, cost, number in string.gmatch(list, '(%d+)%.(%d+)%.(%w+)') do
    stamp = life > 0 and min(tonumber(stamp), now) or tonumber(stamp)
    if stamp + life > now and (life == 0 or stamp > state.head.reset) then
      local id = pack('>c6I5', nonce, tonumber(number, 36))
      added = added + putBack(hits, at, stamp, id, tonumber(cost), grain, how == 's', asEntry)
    end
  end
  local later = tonumber(since) > state.head.reset and blocked > state.head.blocked
  if added > 0 or later or window > max(state.head.window, now) then
    local head = headOf(state)
    head.window = max(head.window, window)
    if later then
      head.blocked, head.level = blocked, max(head.level, tonumber(level))
    end
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
answers[#ARGV] = now
return answers

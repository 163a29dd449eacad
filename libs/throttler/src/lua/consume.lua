-- Decides on the requests that one process has collected in one turn of its event loop; each names one or several limits and
-- passes all of them or counts in none.
-- KEYS      keys of all requests, one for each limit
-- ARGV[1]   nonce and epoch, see hits.lua
-- ARGV[2..] one for each request: the number of its hit in base 36 and its limits, see policy.lua, separated by blanks
-- Returns   for each request: {now, for each limit: 1 it lets pass else 0, hits, us until all have left, us until it lets
--           pass, when it does: the next};
--           the error EPOCH when the limits are those of another epoch
local function decide(state, limit, passes, number)
  local refused = state.refused
  if passes and not refused then
    take(state, limit, number)
  elseif refused and limit.k and state.blocked <= now then
    step(state, limit, number)
    store(state, limit)
    announceFull(state, limit)
    refused = max(refused, state.blocked - now)
  elseif state.changed then
    store(state, limit)
  end
  return tell(state, limit, refused)
end

local function ask(key, limit)
  local state = look(key, limit)
  state.refused = refusal(state, limit)
  return state, not state.refused or limit.s
end

local function consume(from, number, what)
  local states, limits, passes = {}, {}, true
  for text in string.gmatch(what, '%S+') do
    local i = #limits + 1
    local limit, passesThis = limitOf(text)
    states[i], passesThis = ask(KEYS[from + i], limit)
    limits[i], passes = limit, passes and passesThis
  end
  local answer = { now }
  for i, limit in ipairs(limits) do
    local n = 4 * i
    answer[n - 2], answer[n - 1], answer[n], answer[n + 1] = decide(states[i], limit, passes, number)
  end
  return answer
end

local answers, from = {}, 0
for i = 2, #ARGV do
  local number, text, more = match(ARGV[i], '^(%w+) (%S+)(.*)$')
  number = tonumber(number, 36)
  if more == '' then
    local limit = limitOf(text)
    local state, passes = ask(KEYS[from + 1], limit)
    answers[i - 1], from = { now, decide(state, limit, passes, number) }, from + 1
  else
    answers[i - 1] = consume(from, number, text .. more)
    from = from + (#answers[i - 1] - 1) / 4
  end
end
return answers

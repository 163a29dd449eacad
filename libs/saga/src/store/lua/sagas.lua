-- Shared by the scripts of sagas, after queue.lua and enqueue.lua. `base` is the queue that runs the steps. All keys of sagas begin with
-- it, so that an instance and its tasks are in one Cluster slot.
--   `:s:<id>`           instance, a hash. `:s:<id>:j` its journal, a list of JSON [time, entry].
--   `:sk:<name> <key>`  id of the instance that has a business key.
--   `:sl`               ids by time of creation. `:sl:<status>` the same by status. `:se` ids of ended instances, by time.
--   `:sc`               number of open instances, by `<status> <version> <name>`.
local function instance(id)
  return base .. ':s:' .. id
end

local function appendJournal(id, journal)
  for _, entry in ipairs(cjson.decode(journal)) do
    call('RPUSH', instance(id) .. ':j', cjson.encode({ now, entry }))
  end
end

local function countOpen(id, status, by)
  local name, version = unpack(call('HMGET', instance(id), 'name', 'version'))
  local field = status .. ' ' .. version .. ' ' .. name
  if status ~= 'done' and status ~= 'undone' and call('HINCRBY', base .. ':sc', field, by) == 0 then
    call('HDEL', base .. ':sc', field)
  end
end

-- Moves the instance to the lists of its new status.
local function moveToStatus(id, created, from, to)
  if from ~= to then
    if from then
      call('ZREM', base .. ':sl:' .. from, id)
      countOpen(id, from, -1)
    end
    call('ZADD', base .. ':sl:' .. to, created, id)
    countOpen(id, to, 1)
  end
  if to == 'done' or to == 'undone' then
    call('ZADD', base .. ':se', now, id)
  end
end

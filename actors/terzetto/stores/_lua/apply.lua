-- A group of writes, in order. Here is decided only whether a write is there already, fits, or is refused; what a
-- refusal is called is decided where every store decides it, by the facts that are returned.

local ttl = tonumber(take())
local writes = {}
local needed, creates = {}, false
local function has(w, mark)
  return w.marks ~= '' and string.find(w.marks, mark, 1, true)
end
for n = 1, tonumber(take()) do
  local w = {}
  w.run = take()
  w.expect = take()
  w.epoch = take()
  w.seq = tonumber(take())
  w.event = take()
  w.at = take()
  w.sum = take()
  w.body = take()
  w.marks = take()
  if w.marks ~= '' then
    if has(w, 'm') then -- it moves the run
      w.status = take()
      w.code = take()
      w.message = take()
      w.timer = take()
      w.row_sum = take()
    end
    if has(w, 'h') then -- it creates the run
      w.header = take()
      w.header_sum = take()
      w.submitted = take()
      w.key = take()
      w.thread = take()
      w.line = tonumber(take())
      creates = true
      if w.key ~= '' then needed.keys = true end
      if w.thread ~= '' then needed['line:' .. w.thread] = true end
    end
    if has(w, 'o') then -- it begins from this head
      w.base = take()
      needed.heads = true
    end
    if has(w, 't') then -- it becomes a thread's head
      w.end_thread = take()
      w.head_sum = take()
    end
    if has(w, 's') then w.snapshot = take() end
    if has(w, 'b') then w.barriers = take_all() end -- name, whether it is open, when it closed, row
    if has(w, 'k') then w.blobs = take_all() end
  end
  writes[n] = w
end
if creates then need('runs') end
for name in pairs(needed) do need(name) end
if creates then clean() end

local function commit_at(w, first, last) -- epoch and body of the commit that has this seq; true if it was lost
  if w.seq < 1 or w.seq > last then return false end
  local id = w.seq .. '-0'
  local found = redis.pcall('XRANGE', base .. 'log:' .. w.run, id, id)
  if found.err then return true end
  found = found[1]
  if not found then return w.seq >= first end
  local entry = {}
  for n = 1, #found[2], 2 do entry[found[2][n]] = found[2][n + 1] end
  return { entry.epoch, entry.body }
end
local function is_same(w, stored)
  return stored and stored[1] == w.epoch and stored[2] == w.body
end
local function missing_blob(w)
  for _, digest in ipairs(w.blobs or {}) do
    if not blob(digest) then return digest end
  end
end
local function overtaken(w, thread) -- see `overtaken` of threads: who joined its line meanwhile, or is its head by now
  if thread == '' then return end
  if w.header then
    local ahead = call('ZRANGEBYSCORE', base .. 'line:' .. thread, w.line, '+inf', 'LIMIT', 0, 1)[1]
    if ahead then return { 'overtaken', ahead } end
  end
  if w.base then
    local _, _, now_at = head(thread)
    if (now_at or '') ~= w.base then return { 'overtaken', now_at or '' } end
  end
end
local function impossible(w, thread)
  local late = overtaken(w, thread)
  if late then return late end
  local digest = missing_blob(w)
  if digest then return { 'nameless', digest } end
  if has(w, 'x') then return { 'unstorable' } end
end

local function attach(w)
  local row = base .. 'run:' .. w.run
  if w.snapshot then
    call('HSET', base .. 'snapshots:' .. w.run, w.seq, w.snapshot)
    call('HSET', row, 'newest', w.seq, 'snapshots', call('HLEN', base .. 'snapshots:' .. w.run))
  end
  local barriers = w.barriers or {}
  for n = 1, #barriers, 4 do
    local key, name = base .. 'barriers:' .. w.run, barriers[n]
    local before = call('HGET', key, name)
    local number = before and string.match(before, '^%d+') or call('HINCRBY', base, 'number', 1)
    call('HSET', key, name, number .. ' ' .. barriers[n + 2] .. ' ' .. barriers[n + 3])
    if barriers[n + 1] == '1' then
      add('open', w.run .. '\0' .. name, number)
    else
      drop('open', w.run .. '\0' .. name)
    end
  end
  if #barriers > 0 then call('HSET', row, 'barriers', call('HLEN', base .. 'barriers:' .. w.run)) end
  for _, digest in ipairs(w.blobs or {}) do keep_blob(w.run, digest) end
end

local function append(w, make)
  local log, id = base .. 'log:' .. w.run, w.seq .. '-0'
  local fields = { 'epoch', w.epoch, 'event', w.event, 'at', w.at, 'sum', w.sum, 'body', w.body }
  if make then return call('XADD', log, id, unpack(fields)) end
  local added = redis.pcall('XADD', log, 'NOMKSTREAM', id, unpack(fields))
  if type(added) == 'table' and added.err then
    local is_another = string.find(added.err, 'WRONGTYPE', 1, true) or string.find(added.err, 'smaller', 1, true)
    if not is_another then error(added.err, 0) end -- a full memory, a disk that fails: nothing was written yet
    return false
  end
  return added -- false where the log is gone
end

local function move(w, before, submitted, thread)
  call('HSET', base .. 'run:' .. w.run, 'status', w.status, 'epoch', w.epoch, 'code', w.code, 'message', w.message,
    'timer', w.timer, 'sum', w.row_sum)
  if before ~= w.status then
    if before then call('ZREM', base .. 'is:' .. before, w.run) end
    call('ZADD', base .. 'is:' .. w.status, submitted, w.run)
  end
  if w.timer ~= '' and TIMED[w.status] then
    add('timers', w.run, w.timer)
  else
    drop('timers', w.run)
  end
  if thread ~= '' and TERMINAL[w.status] then drop('line:' .. thread, w.run) end
end

local function create(w)
  append(w, true)
  call('HSET', base .. 'run:' .. w.run, 'header', w.header, 'header_sum', w.header_sum, 'submitted', w.submitted,
    'key', w.key, 'thread', w.thread, 'seq', 1, 'event', w.event, 'at', w.at, 'wrote', w.epoch, 'last_sum', w.sum,
    'first', 1, 'commits', 1, 'newest', 0, 'snapshots', 0, 'barriers', 0, 'heads', 0, 'owner', me)
  add('runs', w.run, w.submitted)
  if w.thread ~= '' then
    add('on:' .. w.thread, w.run, w.submitted)
    add('line:' .. w.thread, w.run, w.line)
  end
  move(w, false, w.submitted, w.thread)
  if w.key ~= '' then put('keys', w.key, w.run) end
  attach(w)
  if w.end_thread then move_head(w.end_thread, w.run, w.at, w.head_sum, ttl) end
  if TERMINAL[w.status] then may_expire(w.run, ttl) end
  return true
end

local function existing(run)
  return { 'exists', run, call('HGETALL', base .. 'run:' .. run) }
end

local function settle_first(w, epoch, header, first, last)
  if epoch then
    local stored = commit_at(w, first, last)
    if stored == true then return { 'damaged' } end
    if header == w.header and is_same(w, stored) then return true end
    return existing(w.run)
  end
  local other = w.key ~= '' and call('HGET', base .. 'keys', w.key)
  if other then
    if call('EXISTS', base .. 'run:' .. other) == 1 then return existing(other) end
    if not has_expired(other) then return { 'damaged' } end
  end
  if w.seq ~= 1 then return { 'misnumbered' } end
  return impossible(w, w.thread) or create(w)
end

local function settle(w)
  local row = redis.pcall('HMGET', base .. 'run:' .. w.run, 'epoch', 'seq', 'first', 'commits', 'header', 'status',
    'submitted', 'thread', 'owner')
  if row.err then return { 'damaged' } end
  local epoch, last, first = row[1], tonumber(row[2]), tonumber(row[3])
  if not epoch and call('ZSCORE', base .. 'runs', w.run) and not has_expired(w.run) then return { 'damaged' } end
  if epoch and not (last and first and tonumber(row[4]) and row[6] and row[7] and row[8]) then return { 'damaged' } end
  if w.header then return settle_first(w, epoch, row[5], first, last) end
  if not epoch then return { 'unknown' } end
  local stored = commit_at(w, first, last)
  if stored == true then return { 'damaged' } end
  local is_ours = w.epoch == w.expect or not is_others(row[9]) -- of two equal claims one is another owner's
  if is_ours and is_same(w, stored) then return true end
  if epoch ~= w.expect or w.seq ~= last + 1 then
    return { 'refused', epoch, last, stored and stored[1], stored and stored[2] }
  end
  local no = impossible(w, row[8])
  if no then return no end
  if not append(w, false) then return { 'damaged' } end
  call('HSET', base .. 'run:' .. w.run, 'seq', w.seq, 'event', w.event, 'at', w.at, 'wrote', w.epoch,
    'last_sum', w.sum, 'commits', row[4] + 1)
  if w.marks == '' then return true end
  if w.epoch ~= w.expect then call('HSET', base .. 'run:' .. w.run, 'owner', me) end
  if w.status then move(w, row[6], row[7], row[8]) end
  attach(w)
  if w.end_thread then move_head(w.end_thread, w.run, w.at, w.head_sum, ttl) end
  if w.status and TERMINAL[w.status] then may_expire(w.run, ttl) end
  return true
end

-- What was made upon a refused write is refused with it: it would fit by chance where another owner wrote as many
-- commits under the same epoch.
local outcomes, behind = {}, {}
for n, w in ipairs(writes) do
  local outcome = behind[w.run .. ' ' .. w.seq .. ' ' .. w.expect] and { 'behind' } or settle(w)
  if outcome ~= true then behind[w.run .. ' ' .. (w.seq + 1) .. ' ' .. w.epoch] = true end
  outcomes[n] = outcome == true and 1 or outcome
end
return outcomes

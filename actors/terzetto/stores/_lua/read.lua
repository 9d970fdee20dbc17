-- What is there of one run, of one moment: always its row and whether somebody else who lives owns it; then, as they
-- are asked for, a snapshot, some commits, the barriers, the seqs of the snapshots, and what the lists have for it.

local PAGE = 4 * 1024 * 1024 -- bytes of commits after which an answer ends

local run = take()
local wanted = take()
local at = take() -- the newest snapshot by this commit; empty for the newest
local after = take() -- commits after this one; empty for those after the snapshot
local after_event = take() -- commits that tell something after this event; empty for no such condition
local limit = tonumber(take())

local row = call('HGETALL', base .. 'run:' .. run)
if #row == 0 then
  must_be_gone(run)
  return false
end
local known = {}
for n = 1, #row, 2 do known[row[n]] = row[n + 1] end
local log = base .. 'log:' .. run

local function event_of(seq)
  local id = seq .. '-0'
  local found = call('XRANGE', log, id, id)[1]
  if not found then error('TERZETTO_DAMAGED ' .. run, 0) end
  for n = 1, #found[2], 2 do
    if found[2][n] == 'event' then return tonumber(found[2][n + 1]) end
  end
end
local function newest_by_event(seqs, event) -- how many of these commits, in order, tell nothing after the event
  local low, high = 0, seqs.count
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if event_of(seqs.at(middle)) <= event then low = middle else high = middle - 1 end
  end
  return low
end
local function snapshots()
  local seqs = {}
  for n, seq in ipairs(call('HKEYS', base .. 'snapshots:' .. run)) do seqs[n] = tonumber(seq) end
  table.sort(seqs)
  return seqs
end

local snapshot = false
if string.find(wanted, 's', 1, true) then
  local seq = tonumber(known.newest)
  if at ~= '' then
    seq = 0
    for _, each in ipairs(snapshots()) do
      if each <= tonumber(at) then seq = each end
    end
  end
  if seq > 0 then snapshot = { seq, call('HGET', base .. 'snapshots:' .. run, seq) } end
end

local commits = false
if string.find(wanted, 'c', 1, true) then
  local behind = after == '' and (snapshot and snapshot[1] or 0) or tonumber(after)
  if after_event ~= '' then
    -- Along a log events never fall. Those that stand alone in front of it have a snapshot each.
    local first, last = tonumber(known.first), tonumber(known.seq)
    local dense = { count = last - first + 1, at = function(n) return first + n - 1 end }
    local found = newest_by_event(dense, tonumber(after_event))
    if found > 0 then
      behind = math.max(behind, first + found - 1)
    else
      local alone = snapshots()
      while #alone > 0 and alone[#alone] >= first do table.remove(alone) end
      found = newest_by_event({ count = #alone, at = function(n) return alone[n] end }, tonumber(after_event))
      if found > 0 then behind = math.max(behind, alone[found]) end
    end
  end
  commits = { behind }
  local bytes, next_seq = 0, math.max(behind + 1, 1)
  while bytes < PAGE and limit > 0 do
    local found = call('XRANGE', log, next_seq .. '-0', '+', 'COUNT', math.min(limit, 64))
    for _, commit in ipairs(found) do
      commits[#commits + 1] = commit
      bytes = bytes + #commit[2][#commit[2]]
      next_seq = tonumber(string.match(commit[1], '^%d+')) + 1
    end
    limit = limit - #found
    if #found < 64 then break end
  end
end

local barriers = string.find(wanted, 'b', 1, true) and call('HGETALL', base .. 'barriers:' .. run) or false
local seqs = string.find(wanted, 'n', 1, true) and snapshots() or false
local listed = false
if string.find(wanted, 'l', 1, true) then
  local function place(name) return call('ZSCORE', base .. name, run) or '' end
  local key, thread = known.key or '', known.thread or ''
  listed = {
    place('runs'), place('is:' .. (known.status or '')), place('timers'), call('HGET', base .. 'keys', key) or '',
    place('on:' .. thread), place('line:' .. thread),
  }
end
local others = not TERMINAL[known.status] and is_others(known.owner) and known.owner or ''
return { row, others, snapshot, commits, barriers, seqs, listed }

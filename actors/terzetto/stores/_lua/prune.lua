-- Commits in front of a snapshot are forgotten, but those that are to be kept and carry a snapshot.

local run, before, epoch, closed_before = take(), tonumber(take()), take(), tonumber(take())
local keep = {}
for _, seq in ipairs(take_all()) do keep[tonumber(seq)] = true end

local key, log, saved = base .. 'run:' .. run, base .. 'log:' .. run, base .. 'snapshots:' .. run
local row = call('HMGET', key, 'epoch', 'first', 'commits')
if not row[1] then
  must_be_gone(run)
  return false
end
if row[1] ~= epoch then return { row[1] } end

local cut = 0
local snapshots = call('HKEYS', saved)
for n, seq in ipairs(snapshots) do
  snapshots[n] = tonumber(seq)
  if snapshots[n] <= before then cut = math.max(cut, snapshots[n]) end
end
if cut == 0 then return { row[1], 0 } end
local first, length = tonumber(row[2]), call('XLEN', log)
if length ~= tonumber(row[3]) then error('TERZETTO_DAMAGED ' .. run, 0) end

local lowest, kept = cut, {}
for _, seq in ipairs(snapshots) do
  if seq < cut then
    if keep[seq] then
      kept[seq] = true
      lowest = math.min(lowest, seq)
    else
      call('HDEL', saved, seq)
      if seq < first then call('XDEL', log, seq .. '-0') end
    end
  end
end
call('XTRIM', log, 'MINID', lowest .. '-0')
for seq = math.max(first, lowest), cut - 1 do
  if not kept[seq] then call('XDEL', log, seq .. '-0') end
end

local barriers = base .. 'barriers:' .. run
local all = call('HGETALL', barriers)
for n = 1, #all, 2 do
  local closed = string.match(all[n + 1], '^%d+ (%S*) ')
  if closed and closed ~= '' and tonumber(closed) < closed_before then call('HDEL', barriers, all[n]) end
end
local left = call('XLEN', log)
call('HSET', key, 'first', math.max(first, cut), 'commits', left, 'snapshots', call('HLEN', saved),
  'barriers', call('HLEN', barriers))
return { row[1], length - left }

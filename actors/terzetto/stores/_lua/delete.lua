-- A run that has ended and is no thread's head is forgotten.

local run, epoch = take(), take()
local row = call('HMGET', base .. 'run:' .. run, 'epoch', 'status', 'heads', 'commits', 'key', 'thread')
if not row[1] then
  must_be_gone(run)
  return false
end
if row[1] ~= epoch or not TERMINAL[row[2]] then return { row[1], row[2], false } end
if tonumber(row[3]) > 0 then
  local heads = call('HGETALL', base .. 'heads')
  for n = 1, #heads, 2 do
    local _, _, headed = head(heads[n])
    if headed == run then return { row[1], row[2], heads[n] } end
  end
  lost('heads')
end
forget(run, row[2], row[5], row[6])
return { row[1], row[2], false, tonumber(row[4]) }

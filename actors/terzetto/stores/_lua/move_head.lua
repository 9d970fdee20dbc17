-- A thread's head goes back, if it is where it is expected.

local thread, expected, run, at, sum = take(), take(), take(), take(), take()
local ttl = tonumber(take())

need('heads')
need('line:' .. thread)
local under_way
local _, _, before = head(thread)
if not before or before ~= expected then return 0 end
for n, each in ipairs(call('ZRANGE', base .. 'line:' .. thread, 0, -1, 'WITHSCORES')) do -- see `builds_on` of threads
  if n % 2 == 1 then
    under_way = each
  elseif each == '0' or call('HGET', base .. 'run:' .. under_way, 'status') ~= 'QUEUED' then
    return 0
  end
end
if run ~= '' then
  if call('EXISTS', base .. 'run:' .. run) == 0 then
    must_be_gone(run)
    return -1
  end
  move_head(thread, run, at, sum, ttl)
else
  take_out('heads', thread)
  leave_head(before, ttl)
end
return 1

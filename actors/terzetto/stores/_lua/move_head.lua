-- A thread's head goes back, if it is where it is expected.

local thread, expected, run, at, sum = take(), take(), take(), take(), take()
local ttl = tonumber(take())

need('heads')
local _, _, before = head(thread)
if not before or before ~= expected then return 0 end
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

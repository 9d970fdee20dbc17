-- The owner that asks lives for another lease, in milliseconds; with 0 it lives no more.

local lease = tonumber(take())
if lease > 0 then
  call('SET', base .. 'owner:' .. me, 1, 'PX', lease)
  call('SADD', base .. 'owners', me)
else
  call('DEL', base .. 'owner:' .. me)
  call('SREM', base .. 'owners', me)
end
return 1

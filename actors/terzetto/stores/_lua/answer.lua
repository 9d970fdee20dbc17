-- The receipt of a command that waits for one.

local command, receipt, sum = take(), take(), take()
local key = base .. 'command:' .. command
if call('EXISTS', key) == 1 and call('HEXISTS', key, 'receipt') == 0 then
  call('HSET', key, 'receipt', receipt, 'receipt_sum', sum)
  drop('waiting', command)
end
return 1

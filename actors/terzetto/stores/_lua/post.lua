-- A command for the owner of a run, once.

local command, run, body, at, sum, receipt, receipt_sum = take(), take(), take(), take(), take(), take(), take()
local is_answered = take() == '1'

if call('ZSCORE', base .. 'inbox', command) then return 0 end
local number = call('HINCRBY', base, 'number', 1)
local key = base .. 'command:' .. command
add('inbox', command, number)
call('SADD', base .. 'commands:' .. run, command)
call('HSET', key, 'run', run, 'body', body, 'at', at, 'sum', sum)
if is_answered then
  call('HSET', key, 'receipt', receipt, 'receipt_sum', receipt_sum)
else
  add('waiting', command, number)
  call('XADD', base .. 'bell', 'MAXLEN', '~', 16, '*', 'command', command)
end
return 1

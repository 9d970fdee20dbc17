-- A command goes back, for others; the owner that asks is not given it again for so many milliseconds.

local command, pause = take(), take()
if not call('ZSCORE', base .. 'waiting', command) then return 0 end
local key = base .. 'command:' .. command
if call('HGET', key, 'given') == me then call('HDEL', key, 'given') end
call('SET', base .. 'declined:' .. me .. '\0' .. command, 1, 'PX', pause)
return 1

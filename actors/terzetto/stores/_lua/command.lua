-- A command with its receipt; false for one that was never posted.

local command = take()
local said = call('HGETALL', base .. 'command:' .. command)
if #said > 0 then return said end
need('inbox')
return call('ZSCORE', base .. 'inbox', command) and {} or false

-- A chunk of an upload; the upload belongs to whoever put the last one.

local upload, number, data = take(), take(), take()
call('HSETNX', base .. 'upload:' .. upload, number, data)
put('uploads', upload, now() / 1000 .. ' ' .. me)
return 1

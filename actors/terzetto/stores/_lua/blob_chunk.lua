-- A chunk of a blob: {} where there is no such blob or chunk, false where the chunk was lost.

local digest, number = take(), tonumber(take())
need('blobs')
local chunks = blob(digest)
if not chunks or number < 0 or number >= tonumber(chunks) then return {} end
local data = call('HGET', base .. 'blob:' .. digest, number)
return data and { data } or false

-- An upload gets its digest, unless there is such a blob; a run keeps it, or it is held without one.

local digest, upload, run, at = take(), take(), take(), take()
need('blobs')
if not blob(digest) then
  local key = base .. 'upload:' .. upload
  local chunks = upload ~= '' and call('HLEN', key) or 0
  if chunks == 0 then return 0 end
  call('RENAME', key, base .. 'blob:' .. digest)
  take_out('uploads', upload)
  put('blobs', digest, chunks .. ' 0 0')
  add('free', digest, 0)
end
if run ~= '' and call('EXISTS', base .. 'run:' .. run) == 1 then
  keep_blob(run, digest)
else
  local chunks, kept, held = blob(digest)
  if tonumber(at) > tonumber(held) then
    call('HSET', base .. 'blobs', digest, chunks .. ' ' .. kept .. ' ' .. at)
    if kept == '0' then add('free', digest, at) end
  end
end
return 1

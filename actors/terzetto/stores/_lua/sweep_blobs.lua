-- One blob that nobody keeps, or one upload that does not go on, is freed; the server frees what it was in the
-- background. Uploads of other owners count by their age.

local before = tonumber(take())
local live = {}
for _, upload in ipairs(take_all()) do live[upload] = true end

need('free')
local digest = call('ZRANGEBYSCORE', base .. 'free', '-inf', '(' .. before, 'LIMIT', 0, 1)[1]
if digest then
  drop('free', digest)
  take_out('blobs', digest)
  call('UNLINK', base .. 'blob:' .. digest)
  return 1
end
need('uploads')
local uploads = call('HGETALL', base .. 'uploads')
for n = 1, #uploads, 2 do
  local at, owner = string.match(uploads[n + 1], '^(%S+) (.*)$')
  local is_left = tonumber(at) < before
  if owner == me then is_left = not live[uploads[n]] end
  if is_left then
    take_out('uploads', uploads[n])
    call('UNLINK', base .. 'upload:' .. uploads[n])
    return 1
  end
end
return 0

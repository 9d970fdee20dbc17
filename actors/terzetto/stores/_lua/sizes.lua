-- The lists of the whole store that have lost something, how large the others are, and how many owners live.

clean()
local found = { {}, {} }
for _, field in ipairs(call('HKEYS', base)) do
  if string.sub(field, 1, 1) == '#' then
    local name = string.sub(field, 2)
    local of = is_whole(name) and found[2] or found[1]
    of[#of + 1] = name
    of[#of + 1] = size(name)
  end
end
if not statuses_are_whole() then
  found[1][#found[1] + 1] = 'statuses'
  found[1][#found[1] + 1] = 0
end
local owners = 0
for _, owner in ipairs(call('SMEMBERS', base .. 'owners')) do
  if is_alive(owner) then
    owners = owners + 1
  elseif me ~= '' then
    call('SREM', base .. 'owners', owner)
  end
end
found[3] = owners
return found

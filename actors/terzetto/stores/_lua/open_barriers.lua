-- Every open barrier, in order of opening.

need('open')
local found = {}
for n, member in ipairs(call('ZRANGE', base .. 'open', 0, -1)) do
  local cut = string.find(member, '\0', 1, true)
  local run, name = string.sub(member, 1, cut - 1), string.sub(member, cut + 1)
  found[n] = { run, name, call('HGET', base .. 'barriers:' .. run, name) }
end
return found

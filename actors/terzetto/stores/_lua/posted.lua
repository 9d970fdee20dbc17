-- Commands without a receipt, oldest first. An owner is told of those for its runs, and is given those for runs that
-- are nobody's, unless another who lives was given them; but none that it has declined.

local limit = tonumber(take())

need('waiting')
local found = {}
for _, command in ipairs(call('ZRANGE', base .. 'waiting', 0, -1)) do
  if #found >= limit then break end
  local key = base .. 'command:' .. command
  local said = call('HMGET', key, 'run', 'body', 'at', 'sum', 'given')
  if said[1] and call('EXISTS', base .. 'declined:' .. me .. '\0' .. command) == 0 then
    local owner = call('HGET', base .. 'run:' .. said[1], 'owner')
    local mine = me == '' or owner == me
    if not mine and not is_others(owner) and not is_others(said[5]) then
      if said[5] ~= me then call('HSET', key, 'given', me) end
      mine = true
    end
    if mine then found[#found + 1] = { command, said[1], said[2], said[3], said[4] } end
  end
end
return found

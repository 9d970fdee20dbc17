-- Rows of the runs that have a timer and belong to nobody else who lives.

need('timers')
local rows = {}
for _, run in ipairs(call('ZRANGE', base .. 'timers', 0, -1)) do
  local row = call('HGETALL', base .. 'run:' .. run)
  local owner = #row > 0 and call('HGET', base .. 'run:' .. run, 'owner')
  if not is_others(owner) then rows[#rows + 1] = { run, row } end
end
return rows

-- Rows of those among some runs that another owner brought or claimed last, living or not.

local rows = {}
for _, run in ipairs(take_all()) do
  local owner = call('HGET', base .. 'run:' .. run, 'owner')
  if owner and owner ~= '' and owner ~= me then rows[#rows + 1] = { run, call('HGETALL', base .. 'run:' .. run) } end
end
return rows

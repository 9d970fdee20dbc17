-- The id of the run that has an idempotency key.

local key = take()
need('keys')
local run = call('HGET', base .. 'keys', key)
if run and call('EXISTS', base .. 'run:' .. run) == 0 then
  must_be_gone(run)
  return false
end
return run

-- Rows of runs, newest first (by submit time, then id), with the place from which the next page goes on.

local sources = take_all() -- lists to look into, each in that order
local status_list = take_all() -- if the list is a thread's: only these, where there are any
local score, id = take(), take() -- only those behind this place; empty for all; without a score, behind this run
local limit = tonumber(take())
local free = take() == '1' -- only those that belong to nobody else who lives

clean()
need('runs')
for _, source in ipairs(sources) do
  if string.sub(source, 1, 3) == 'is:' then
    if not statuses_are_whole() then lost('statuses') end
  else
    need(source)
  end
end
if id ~= '' and score == '' then
  score = call('ZSCORE', base .. 'runs', id)
  if not score or (call('EXISTS', base .. 'run:' .. id) == 0 and has_expired(id)) then return false end
end

local function is_before(one, other) -- as the server orders members; `<` would go by the language of the machine
  for n = 1, math.min(#one, #other) do
    local a, b = string.byte(one, n), string.byte(other, n)
    if a ~= b then return a < b end
  end
  return #one < #other
end
local function is_behind(one, at) -- whether a run is listed behind a place
  if tonumber(one.score) ~= tonumber(at.score) then return tonumber(one.score) < tonumber(at.score) end
  return is_before(one.run, at.run)
end

local wanted = {}
for _, status in ipairs(status_list) do wanted[status] = true end
local function passes(run)
  local row = call('HMGET', base .. 'run:' .. run, 'status', 'owner')
  if not row[1] then return not has_expired(run) end -- one that was lost is listed, and says so
  return (#status_list == 0 or wanted[row[1]]) and not (free and is_others(row[2]))
end

local listed = {}
local place = id ~= '' and { score = score, run = id }
for _, source in ipairs(sources) do
  local offset, found = 0, 0
  while found < limit do
    local page = call('ZREVRANGEBYSCORE', base .. source, place and score or '+inf', '-inf', 'WITHSCORES',
      'LIMIT', offset, 200)
    for n = 1, #page, 2 do
      local one = { run = page[n], score = page[n + 1], source = source }
      if found < limit and (not place or is_behind(one, place)) and passes(one.run) then
        found = found + 1
        listed[#listed + 1] = one
      end
    end
    if #page < 400 then break end
    offset = offset + 200
  end
end
table.sort(listed, function(one, other) return is_behind(other, one) end)

local rows = {}
for n = 1, math.min(limit, #listed) do
  local one = listed[n]
  rows[n] = { one.run, one.score, one.source, call('HGETALL', base .. 'run:' .. one.run) }
end
return rows

-- What every script begins with.
--
-- KEYS[1] is the hash of the store itself. All other keys are named after it, so they share its hash tag, and with it
-- the slot: a script may touch any of them, also in a cluster. ARGV[1] is the incarnation that the caller has opened,
-- ARGV[2] the owner that asks (empty for a guest). What else a script is told it takes from ARGV in order.
--
-- Nothing is undone when a script fails, so a script asks everything before it writes anything.

local base = KEYS[1]
local call = redis.call

local incarnation = call('HGET', base, 'id')
if incarnation ~= ARGV[1] then
  return redis.error_reply('TERZETTO_GONE ' .. (incarnation or ''))
end

local me = ARGV[2]
local taken = 2
local function take()
  taken = taken + 1
  return ARGV[taken]
end
local function take_all()
  local all = {}
  for n = 1, tonumber(take()) do all[n] = take() end
  return all
end

local function now() -- milliseconds
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local STATUSES = {
  'QUEUED', 'RUNNING', 'AWAITING_INPUT', 'PAUSED', 'CANCELLING', 'INTERRUPTED', 'SUCCEEDED', 'FAILED', 'CANCELLED',
}
local TERMINAL = { SUCCEEDED = true, FAILED = true, CANCELLED = true }
local TIMED = { QUEUED = true, AWAITING_INPUT = true, PAUSED = true }

-- Lists of the whole store. The store's hash knows how many members each must have: one that has fewer has lost them,
-- and is never taken for a short one. Those of the statuses together have as many as there are runs.
local HASHES = { keys = true, heads = true, blobs = true, uploads = true }
local function count(name, by)
  if call('HINCRBY', base, '#' .. name, by) == 0 then call('HDEL', base, '#' .. name) end
end
local function size(name)
  return call(HASHES[name] and 'HLEN' or 'ZCARD', base .. name)
end
local function is_whole(name)
  return size(name) == tonumber(call('HGET', base, '#' .. name) or 0)
end
local function statuses_are_whole()
  local all = 0
  for _, status in ipairs(STATUSES) do all = all + size('is:' .. status) end
  return all == tonumber(call('HGET', base, '#runs') or 0)
end
local function lost(name)
  error('TERZETTO_LOST ' .. name, 0)
end
local function need(name)
  if not is_whole(name) then lost(name) end
end
local function add(name, member, score)
  if call('ZADD', base .. name, score, member) == 1 then count(name, 1) end
end
local function drop(name, member)
  if call('ZREM', base .. name, member) == 1 then count(name, -1) end
end
local function put(name, field, value)
  if call('HSET', base .. name, field, value) == 1 then count(name, 1) end
end
local function take_out(name, field)
  if call('HDEL', base .. name, field) == 1 then count(name, -1) end
end

local lives = {}
local function is_alive(owner) -- an owner's key expires when it has not renewed its lease
  if lives[owner] == nil then lives[owner] = call('EXISTS', base .. 'owner:' .. owner) == 1 end
  return lives[owner]
end
local function is_others(owner)
  return owner and owner ~= '' and owner ~= me and is_alive(owner)
end

-- A run is these keys. When it has ended they may expire, all at the same moment.
local PARTS = { 'run:', 'log:', 'snapshots:', 'barriers:' }

local function has_expired(run)
  local at = call('ZSCORE', base .. 'expiring', run)
  return at and tonumber(at) <= now() + 1000 -- a server may look at its clock only now and then
end
local function must_be_gone(run) -- for a run without a row: one that is listed and has not expired was lost
  if call('ZSCORE', base .. 'runs', run) and not has_expired(run) then
    error('TERZETTO_DAMAGED ' .. run, 0)
  end
end

local function blob(digest) -- how many chunks it has, how many runs keep it, when it was last kept without one
  local value = call('HGET', base .. 'blobs', digest)
  if value then return string.match(value, '(%S+) (%S+) (%S+)') end
end
local function keep_blob(run, digest)
  if call('SADD', base .. 'kept:' .. run, digest) == 1 then
    local chunks, kept, held = blob(digest)
    call('HSET', base .. 'blobs', digest, chunks .. ' ' .. (kept + 1) .. ' ' .. held)
    drop('free', digest)
  end
end
local function let_blobs_go(run)
  for _, digest in ipairs(call('SMEMBERS', base .. 'kept:' .. run)) do
    local chunks, kept, held = blob(digest)
    if chunks then
      call('HSET', base .. 'blobs', digest, chunks .. ' ' .. (kept - 1) .. ' ' .. held)
      if tonumber(kept) == 1 then add('free', digest, held) end
    end
  end
  call('DEL', base .. 'kept:' .. run)
end

local function forget(run, status, key, thread)
  for _, name in ipairs(call('HKEYS', base .. 'barriers:' .. run)) do drop('open', run .. '\0' .. name) end
  drop('runs', run)
  call('ZREM', base .. 'is:' .. status, run)
  drop('timers', run)
  if key ~= '' then take_out('keys', key) end
  if thread ~= '' then
    drop('on:' .. thread, run)
    drop('line:' .. thread, run)
  end
  let_blobs_go(run)
  for _, command in ipairs(call('SMEMBERS', base .. 'commands:' .. run)) do
    if not call('ZSCORE', base .. 'waiting', command) then
      drop('inbox', command)
      call('DEL', base .. 'command:' .. command)
      call('SREM', base .. 'commands:' .. run, command)
    end
  end
  for _, part in ipairs(PARTS) do call('UNLINK', base .. part .. run) end
  drop('expiring', run)
  call('HDEL', base .. 'left', run)
end

local function clean() -- the lists of some runs that have expired: an expiry takes nothing out of them
  if me == '' then return end
  for _, run in ipairs(call('ZRANGEBYSCORE', base .. 'expiring', '-inf', now(), 'LIMIT', 0, 100)) do
    local left = call('HGET', base .. 'left', run)
    if left and call('EXISTS', base .. 'run:' .. run) == 0 then forget(run, unpack(cmsgpack.unpack(left))) end
  end
end

-- A run that has ended and is no thread's head expires after so many milliseconds, if there is such a time.
local function may_expire(run, ttl)
  if ttl == 0 then return end
  local row = call('HMGET', base .. 'run:' .. run, 'status', 'heads', 'key', 'thread')
  if row[1] and TERMINAL[row[1]] and tonumber(row[2]) == 0 then
    local at = now() + ttl
    call('HSET', base .. 'left', run, cmsgpack.pack({ row[1], row[3], row[4] }))
    add('expiring', run, at)
    for _, part in ipairs(PARTS) do call('PEXPIREAT', base .. part .. run, at) end
  end
end
local function must_stay(run)
  drop('expiring', run)
  call('HDEL', base .. 'left', run)
  for _, part in ipairs(PARTS) do call('PERSIST', base .. part .. run) end
end

local function head(thread) -- since when, checksum, run
  local value = call('HGET', base .. 'heads', thread)
  if value then return string.match(value, '^(%S+) (%S+) (.*)$') end
end
local function leave_head(run, ttl)
  if call('EXISTS', base .. 'run:' .. run) == 1 then
    call('HINCRBY', base .. 'run:' .. run, 'heads', -1)
    may_expire(run, ttl)
  end
end
local function move_head(thread, run, at, sum, ttl)
  local _, _, before = head(thread)
  put('heads', thread, at .. ' ' .. sum .. ' ' .. run)
  if before == run then return end
  call('HINCRBY', base .. 'run:' .. run, 'heads', 1)
  must_stay(run)
  if before then leave_head(before, ttl) end
end

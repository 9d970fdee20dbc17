-- The incarnation and the version of a store; made if there is none and it may be. It runs without the common part.

local base = KEYS[1]
local fresh, version, is_guest = ARGV[1], ARGV[2], ARGV[3] == '1'

local kind = redis.call('TYPE', base).ok
if kind ~= 'hash' and kind ~= 'none' then return { 'foreign' } end
local found = redis.call('HMGET', base, 'id', 'version')
if found[1] and found[2] then return { 'there', found[1], found[2] } end
if kind == 'hash' then return { 'foreign' } end
for _, name in ipairs({ 'runs', 'keys', 'heads', 'inbox', 'blobs' }) do
  if redis.call('EXISTS', base .. name) == 1 then return { 'lost' } end
end
if is_guest then return { 'missing' } end
redis.call('HSET', base, 'id', fresh, 'version', version)
return { 'there', fresh, version }

-- Applies one batch to one virtual shard, once in effect: compare-and-set of the fence around the
-- batch's parts. Plain Redis 7.0 commands; no cmsgpack, struct or bit (miniredis).
-- All keys carry the shard's hash tag.
--
-- KEYS  1 fence hash, 2 change sequence, 3 changed items, then the users and the items that gain a part,
--       then the users whose parts are replaced because the batch erases them
-- ARGV  1 fence field, 2 expected fence, 3 new fence, 4 lifetime of users in ms (0 = for ever), 5 length of
--       an item's key without its id, 6 number of users that gain a part, 7 number of items, 8 a byte for
--       each: after how many parts the sender wants to pack them, and 128 more when the lifetime is to be
--       set; then the parts; then for each user to be replaced what compact.lua takes
-- Reply: the stored fence when it is not the expected one and nothing was done; {'moved'} when a user to
--       be replaced is not what was read and nothing was done; or {'ok'} and the entities, from 1, to pack.
local cur = call('HGET', KEYS[1], ARGV[1]) or '-1'
if cur ~= ARGV[2] then return cur end

local ttl, users, items, bytes = ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local first, args = 3, 8 -- before the keys and parts of entities
local rest = first + users + items
local a = args + users + items + 1
for e = rest + 1, #KEYS do
  local n = tonumber(ARGV[a])
  if not same(KEYS[e], n, a) then return {'moved'} end
  a = a + n + 2
end

-- The first write changes nothing: when memory is full or the server is read-only it fails here,
-- before anything is applied.
call('HSET', KEYS[1], ARGV[1], cur)

if items > 0 then -- first, because an item that is named without having changed does no harm
  -- Change numbers are server time in microseconds, so that they keep ascending when the server
  -- has lost its newest writes: a reader's cursor stays valid.
  local t = call('TIME')
  local seq = math.max(tonumber(t[1]) * 1000000 + tonumber(t[2]), tonumber(call('GET', KEYS[2]) or '0') + 1)
  local at, from, sub = string.format('%.0f', seq), ARGV[5] + 1, string.sub
  call('SET', KEYS[2], at)
  local CHUNK = 1000
  for i = users + 1, users + items, CHUNK do
    local changed, n = {}, 0
    for e = i, math.min(i + CHUNK - 1, users + items) do
      changed[n + 1] = at
      changed[n + 2] = sub(KEYS[first + e], from)
      n = n + 2
    end
    call('ZADD', KEYS[3], unpack(changed))
  end
end

local mortal, pcall, byte, out = ttl ~= '0', redis.pcall, string.byte, {'ok'}
for e = 1, users + items do
  local key, limit = KEYS[first + e], byte(bytes, e)
  local n = pcall('RPUSH', key, ARGV[args + e])
  if type(n) == 'table' then -- the key holds something else than ours: all of the batch or nothing
    for back = 1, e - 1 do call('RPOP', KEYS[first + back]) end
    return n
  end
  local fresh = limit >= 128
  if fresh then limit = limit - 128 end
  if mortal and e <= users and (fresh or n == 1) then call('PEXPIRE', key, ttl) end
  if n >= limit then out[#out + 1] = e end
end

a = args + users + items + 1
for e = rest + 1, #KEYS do
  local n = tonumber(ARGV[a])
  replace(KEYS[e], n, ARGV[a + n + 1])
  if mortal then call('PEXPIRE', KEYS[e], ttl) end
  a = a + n + 2
end

call('HSET', KEYS[1], ARGV[1], ARGV[3])
return out

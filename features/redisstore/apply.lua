-- Applies one batch to one virtual shard, once in effect: compare-and-set of the fence around the
-- batch's merged operations. Plain Redis 7.0 commands; no cmsgpack, struct or bit (miniredis).
-- All keys carry the shard's hash tag. Entity keys are derived from the tag given in ARGV[4], so
-- that a large batch does not have to name each of them twice.
--
-- KEYS  1 fence hash, 2 change sequence, 3 changed items
-- ARGV  1 fence field, 2 expected fence, 3 new fence, 4 key prefix of the shard, 5 ttl of users in ms (0 = none),
--       6-8 retention in hours, days, country days, 9 number of lists, then name and max of each list,
--       number of entities, then the entities (encode.go)
-- Reply: the new fence when applied; the stored fence when it is not the expected one; or a list of
--       entity number and tombstone for entities with an erasure that the sender did not know of.
local call = redis.call
local cur = call('HGET', KEYS[1], ARGV[1]) or '-1'
if cur ~= ARGV[2] then return cur end

local prefix, ttl = ARGV[4], tonumber(ARGV[5])
local keep = {h = tonumber(ARGV[6]), d = tonumber(ARGV[7]), c = tonumber(ARGV[8])}
local lists, p = {}, 10
for i = 1, tonumber(ARGV[9]) do
  lists[i] = {name = ARGV[p], max = tonumber(ARGV[p + 1])}
  p = p + 2
end
local entities = tonumber(ARGV[p])
p = p + 1

-- Pass 1, reads only: tombstones and clocks.
local clocks, stones = {}, {}
local q = p
for e = 1, entities do
  local m = call('HMGET', prefix .. ARGV[q + 1] .. ':' .. ARGV[q + 2], 'gone', 'last')
  if m[1] and m[1] ~= ARGV[q + 3] and tonumber(ARGV[q + 5]) <= tonumber(m[1]) then
    stones[#stones + 1] = e - 1
    stones[#stones + 1] = m[1]
  end
  clocks[e] = m[2]
  q = q + tonumber(ARGV[q])
end
if #stones > 0 then return stones end

-- The first write changes nothing: when memory is full or the server is read-only it fails here,
-- before anything is applied.
call('HSET', KEYS[1], ARGV[1], cur)

local function prune(key, clock)
  local d = math.floor(clock / 86400000)
  local cut = {h = d * 24 - keep.h, d = d - keep.d, c = d - keep.c}
  local dead = {}
  for _, f in ipairs(call('HKEYS', key)) do
    local u, index = string.match(f, '^[^@]*@([hdc])(%d+)')
    if u and tonumber(index) < cut[u] then dead[#dead + 1] = f end
  end
  for i = 1, #dead, 400 do
    call('HDEL', key, unpack(dead, i, math.min(i + 399, #dead)))
  end
end

-- Pass 2: apply.
local changed = {}
for e = 1, entities do
  local kind, id, erase, oldest, clock = ARGV[p + 1], ARGV[p + 2], ARGV[p + 4], ARGV[p + 5], ARGV[p + 6]
  local adds, mins, maxs = tonumber(ARGV[p + 7]), tonumber(ARGV[p + 8]), tonumber(ARGV[p + 9])
  local doc, doct, pushes = ARGV[p + 10], ARGV[p + 11], tonumber(ARGV[p + 13])
  local key, old = prefix .. kind .. ':' .. id, clocks[e]
  local a = p + 14
  if erase ~= '' then
    local d = call('HMGET', key, 'doc', 'doct')
    call('DEL', key)
    for i = 1, #lists do call('DEL', prefix .. 'l:' .. lists[i].name .. ':' .. id) end
    call('HSET', key, 'gone', erase)
    if d[2] and tonumber(d[2]) >= tonumber(erase) then
      call('HSET', key, 'doct', d[2])
      if d[1] then call('HSET', key, 'doc', d[1]) end
    end
    old = false
  end
  for _ = 1, adds do
    local r = redis.pcall('HINCRBY', key, ARGV[a], ARGV[a + 1])
    if type(r) == 'table' and r.err then -- out of int64: stay at the end of the range
      call('HSET', key, ARGV[a], tonumber(ARGV[a + 1]) < 0 and '-9223372036854775808' or '9223372036854775807')
    end
    a = a + 2
  end
  for i = 1, mins + maxs do
    local o = tonumber(call('HGET', key, ARGV[a]) or nil)
    local v = tonumber(ARGV[a + 1])
    if not o or (i <= mins and v < o) or (i > mins and v > o) then call('HSET', key, ARGV[a], ARGV[a + 1]) end
    a = a + 2
  end
  if clock ~= '' and (not old or tonumber(clock) > tonumber(old)) then call('HSET', key, 'last', clock) end
  if doc ~= '' then
    local o = tonumber(call('HGET', key, 'doct') or nil)
    local t = tonumber(doct)
    if doc == 'put' and (not o or t >= o) then
      call('HSET', key, 'doc', ARGV[p + 12], 'doct', doct)
    elseif doc == 'withdraw' and (not o or t > o) then
      call('HDEL', key, 'doc')
      call('HSET', key, 'doct', doct)
    end
  end
  for _ = 1, pushes do
    local l, n = lists[tonumber(ARGV[a])], 2 * tonumber(ARGV[a + 1])
    local lkey = prefix .. 'l:' .. l.name .. ':' .. id
    for i = 1, n, 400 do
      call('ZADD', lkey, 'GT', unpack(ARGV, a + 1 + i, a + 1 + math.min(i + 399, n)))
    end
    call('ZREMRANGEBYRANK', lkey, 0, -(l.max + 1))
    if ttl > 0 then call('PEXPIRE', lkey, ttl) end
    a = a + 2 + n
  end
  -- Retention follows the newest event and is carried out when its day changes.
  local now = old
  if clock ~= '' and (not old or tonumber(clock) > tonumber(old)) then now = clock end
  if now and oldest ~= '' then
    local today = math.floor(tonumber(now) / 86400000)
    local advanced = old and today > math.floor(tonumber(old) / 86400000)
    if advanced or math.floor(tonumber(oldest) / 3600000) < today * 24 - keep.h then prune(key, tonumber(now)) end
    if kind == 'u' and ttl > 0 and (advanced or not old) then
      for i = 1, #lists do call('PEXPIRE', prefix .. 'l:' .. lists[i].name .. ':' .. id, ttl) end
    end
  end
  if kind == 'u' then
    if ttl > 0 then call('PEXPIRE', key, ttl) end
  else
    changed[#changed + 1] = id
  end
  p = p + tonumber(ARGV[p])
end

if #changed > 0 then
  -- Change numbers are server time in microseconds, so that they keep ascending when the server
  -- has lost its newest writes: a reader's cursor stays valid.
  local t = call('TIME')
  local seq = math.max(tonumber(t[1]) * 1000000 + tonumber(t[2]), tonumber(call('GET', KEYS[2]) or '0') + 1)
  local at = string.format('%.0f', seq)
  call('SET', KEYS[2], at)
  for i = 1, #changed, 200 do
    local args = {}
    for j = i, math.min(i + 199, #changed) do
      args[#args + 1] = at
      args[#args + 1] = changed[j]
    end
    call('ZADD', KEYS[3], unpack(args))
  end
end
call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]

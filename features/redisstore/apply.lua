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

local CHUNK, EXACT, DAY = 100, 9007199254740992, 86400000
-- A call costs more than what it does: each entity's counters are read with one HMGET, changed
-- here, and written with one HSET. Doubles are exact below 2^53; beyond that Redis adds itself.
local HEADER = 14 -- arguments before an entity's counters

-- Pass 1, reads only: tombstones, clocks and counters.
local keys, read, stones = {}, {}, {}
local q = p
for e = 1, entities do
  local key = prefix .. ARGV[q + 1] .. ':' .. ARGV[q + 2]
  local n = ARGV[q + 7] + ARGV[q + 8] + ARGV[q + 9]
  local m = call('HMGET', key, 'gone', 'last', 'doct', unpack(ARGV, q + HEADER, q + HEADER + math.min(n, CHUNK) - 1))
  if m[1] and m[1] ~= ARGV[q + 3] and tonumber(ARGV[q + 5]) <= tonumber(m[1]) then
    stones[#stones + 1] = e - 1
    stones[#stones + 1] = m[1]
  end
  keys[e], read[e] = key, m
  q = q + ARGV[q]
end
if #stones > 0 then return stones end

-- The first write changes nothing: when memory is full or the server is read-only it fails here,
-- before anything is applied.
call('HSET', KEYS[1], ARGV[1], cur)

-- erase forgets an entity, but for a document that is not older; returns the time of that document.
local function erase(key, id, at, doct)
  local doc = doct and tonumber(doct) >= tonumber(at) and call('HGET', key, 'doc')
  call('DEL', key)
  for i = 1, #lists do call('DEL', prefix .. 'l:' .. lists[i].name .. ':' .. id) end
  call('HSET', key, 'gone', at)
  if not (doct and tonumber(doct) >= tonumber(at)) then return false end
  call('HSET', key, 'doct', doct)
  if doc then call('HSET', key, 'doc', doc) end
  return doct
end

-- bigAdd adds out of the range of doubles; out of int64 it stays at the end of the range.
local function bigAdd(key, name, v)
  local r = redis.pcall('HINCRBY', key, name, v)
  if type(r) == 'table' and r.err then
    call('HSET', key, name, tonumber(v) < 0 and '-9223372036854775808' or '9223372036854775807')
  end
end

-- push adds entries to a list. It is cut only when it is well over its length: readers take the
-- newest of it anyway, and what is cut can never come back among them.
local function push(l, id, from, n, fresh)
  local key, added = prefix .. 'l:' .. l.name .. ':' .. id, 0
  for i = from, from + 2 * n - 1, 2 * CHUNK do
    added = added + call('ZADD', key, 'GT', unpack(ARGV, i, math.min(i + 2 * CHUNK, from + 2 * n) - 1))
  end
  if added == 0 then return end
  local card = call('ZCARD', key)
  if card > l.max + l.max / 4 then call('ZREMRANGEBYRANK', key, 0, -(l.max + 1)) end
  if ttl > 0 and (card == added or fresh) then call('PEXPIRE', key, ttl) end
end

-- prune drops the buckets that are older than the retention allows.
local function prune(key, clock)
  local d = math.floor(clock / DAY)
  local cut = {h = d * 24 - keep.h, d = d - keep.d, c = d - keep.c}
  local dead = {}
  for _, f in ipairs(call('HKEYS', key)) do
    local u, index = string.match(f, '^[^@]*@([hdc])(%d+)')
    if u and tonumber(index) < cut[u] then dead[#dead + 1] = f end
  end
  for i = 1, #dead, CHUNK do
    call('HDEL', key, unpack(dead, i, math.min(i + CHUNK - 1, #dead)))
  end
end

-- counters changes the n counters whose names start at ARGV[first] and whose values follow them:
-- first those to add to, then the minima, then the maxima. old are the values of the first chunk.
local function counters(key, first, n, adds, mins, old, set)
  for c = 0, n - 1, CHUNK do
    local stop = math.min(c + CHUNK, n)
    if c > 0 and old then old = call('HMGET', key, unpack(ARGV, first + c, first + stop - 1)) end
    for i = c + 1, stop do
      local was = old and old[c > 0 and i - c or i + 3]
      local name, v = ARGV[first + i - 1], ARGV[first + n + i - 1]
      if not was then
        set[#set + 1] = name
        set[#set + 1] = v
      elseif i <= adds then
        local a, b = tonumber(was), tonumber(v)
        if math.abs(a) < EXACT and math.abs(b) < EXACT and math.abs(a + b) < EXACT then
          set[#set + 1] = name
          set[#set + 1] = string.format('%.0f', a + b)
        else
          bigAdd(key, name, v)
        end
      elseif (i <= adds + mins and tonumber(v) < tonumber(was)) or (i > adds + mins and tonumber(v) > tonumber(was)) then
        set[#set + 1] = name
        set[#set + 1] = v
      end
    end
    if stop < n and #set > 0 then
      call('HSET', key, unpack(set))
      set = {}
    end
  end
  return set
end

-- Pass 2: apply.
local changed = {}
for e = 1, entities do
  local kind, id, oldest, clock = ARGV[p + 1], ARGV[p + 2], ARGV[p + 5], ARGV[p + 6]
  local adds, mins = tonumber(ARGV[p + 7]), tonumber(ARGV[p + 8])
  local n = adds + mins + ARGV[p + 9]
  local doc, doct, t = ARGV[p + 10], ARGV[p + 11], tonumber(ARGV[p + 11])
  local key, old = keys[e], read[e]
  local last, olddoct = old[2], old[3]
  if ARGV[p + 4] ~= '' then
    olddoct = erase(key, id, ARGV[p + 4], olddoct)
    old, last = false, false
  end
  local set = counters(key, p + HEADER, n, adds, mins, old, {})
  local now = last
  if clock ~= '' and (not last or tonumber(clock) > tonumber(last)) then
    now = clock
    set[#set + 1] = 'last'
    set[#set + 1] = clock
  end
  local o = olddoct and tonumber(olddoct)
  if doc == 'put' and (not o or t >= o) then
    for _, v in ipairs({'doc', ARGV[p + 12], 'doct', doct}) do set[#set + 1] = v end
  elseif doc == 'withdraw' and (not o or t > o) then
    call('HDEL', key, 'doc')
    set[#set + 1] = 'doct'
    set[#set + 1] = doct
  end
  if #set > 0 then call('HSET', key, unpack(set)) end

  -- Retention and lifetime follow the newest event and are looked after when its day changes.
  local today = now and math.floor(tonumber(now) / DAY)
  local advanced = last and today > math.floor(tonumber(last) / DAY)
  if now and (advanced or math.floor(tonumber(oldest) / 3600000) < today * 24 - keep.h) then prune(key, tonumber(now)) end
  local fresh = kind == 'u' and ttl > 0 and (advanced or not last or ttl < 2 * DAY)
  if fresh then
    call('PEXPIRE', key, ttl)
    for i = 1, last and #lists or 0 do call('PEXPIRE', prefix .. 'l:' .. lists[i].name .. ':' .. id, ttl) end
  end
  local a = p + HEADER + 2 * n
  for _ = 1, tonumber(ARGV[p + 13]) do
    local count = tonumber(ARGV[a + 1])
    push(lists[tonumber(ARGV[a])], id, a + 2, count, fresh)
    a = a + 2 + 2 * count
  end
  if kind == 'i' then changed[#changed + 1] = id end
  p = p + ARGV[p]
end

if #changed > 0 then
  -- Change numbers are server time in microseconds, so that they keep ascending when the server
  -- has lost its newest writes: a reader's cursor stays valid.
  local t = call('TIME')
  local seq = math.max(tonumber(t[1]) * 1000000 + tonumber(t[2]), tonumber(call('GET', KEYS[2]) or '0') + 1)
  local at = string.format('%.0f', seq)
  call('SET', KEYS[2], at)
  for i = 1, #changed, CHUNK do
    local args = {}
    for j = i, math.min(i + CHUNK - 1, #changed) do
      args[#args + 1] = at
      args[#args + 1] = changed[j]
    end
    call('ZADD', KEYS[3], unpack(args))
  end
end
call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]

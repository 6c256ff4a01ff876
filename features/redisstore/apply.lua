-- Applies one batch to one virtual shard, once in effect: compare-and-set of the fence around the
-- batch's merged operations. Plain Redis 7.0 commands; no cmsgpack, struct or bit (miniredis).
-- All keys carry the shard's hash tag. Entity keys are derived from the tag given in ARGV[4].
--
-- KEYS  1 fence hash, 2 change sequence, 3 changed items
-- ARGV  1 fence field, 2 expected fence, 3 new fence, 4 key prefix of the shard, 5 the batch (encode.go).
--       The batch is one JSON text, because an argument each costs five times what a token of it costs;
--       names that many entities change together are sent once, as a shape.
-- Reply: the new fence when applied; the stored fence when it is not the expected one; or a list of
--       entity number and tombstone for entities with an erasure that the sender did not know of.
local call = redis.call
local cur = call('HGET', KEYS[1], ARGV[1]) or '-1'
if cur ~= ARGV[2] then return cur end

local prefix, batch = ARGV[4], cjson.decode(ARGV[5])
local ttl, keep = batch[1], {h = batch[2], d = batch[3], c = batch[4]} -- ms, 0 = for ever; buckets
local lists, shapes, entities, ofUsers = {}, batch[6], batch[7], batch[8] -- the first lists are users'
for i = 1, #batch[5], 2 do lists[#lists + 1] = {name = batch[5][i], max = batch[5][i + 1]} end

local CHUNK, EXACT, DAY, HOUR = 100, 9007199254740992, 86400000, 3600000
local floor, format, sub = math.floor, string.format, string.sub
-- A call costs more than what it does: each entity's counters are read with one HMGET, changed
-- here, and written with one HSET. Doubles are exact below 2^53; beyond that Redis adds itself.
--
-- An entity is {'u:' or 'i:' and id, shape, clock or '', oldest, rest or 0, number of lists, a value for
-- each name of the shape, then for each list its number, the number of entries, and time and member
-- of each}. A shape is {adds, minima,
-- 1 when it links visitors, names...}; what is left are maxima. The rest is {known erasure
-- or '', erasure or '', 'put' or 'withdraw' or '', time of the document, document}.
local HEAD, NAMES, VISITORS = 6, 3, 8

-- Pass 1, reads only: tombstones, clocks and counters.
local read, stones = {}, {}
for e = 1, #entities do
  local ent = entities[e]
  local shape = shapes[ent[2]]
  local stop = #shape
  if stop > NAMES + CHUNK then stop = NAMES + CHUNK end
  local m = call('HMGET', prefix .. ent[1], 'gone', 'last', 'doct', unpack(shape, NAMES + 1, stop))
  local gone = m[1]
  if gone and not (ent[5] ~= 0 and gone == ent[5][1]) and tonumber(ent[4]) <= tonumber(gone) then
    stones[#stones + 1] = e - 1
    stones[#stones + 1] = gone
  end
  read[e] = m
end
if #stones > 0 then return stones end

-- The first write changes nothing: when memory is full or the server is read-only it fails here,
-- before anything is applied.
call('HSET', KEYS[1], ARGV[1], cur)

-- erase forgets an entity, but for a document that is not older; returns the time of that document.
local function erase(key, id, at, doct)
  local doc = doct and tonumber(doct) >= tonumber(at) and call('HGET', key, 'doc')
  call('DEL', key)
  for i = 1, ofUsers do call('DEL', prefix .. 'l:' .. lists[i].name .. ':' .. id) end
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

-- push adds the n entries that start at ent[from] to a list. It is cut only when it is well over its
-- length: readers take the newest of it anyway, and what is cut can never come back among them.
local function push(l, id, ent, from, n, fresh, lives)
  local key, added = prefix .. 'l:' .. l.name .. ':' .. id, 0
  for i = from, from + 2 * n - 1, 2 * CHUNK do
    added = added + call('ZADD', key, 'GT', unpack(ent, i, math.min(i + 2 * CHUNK, from + 2 * n) - 1))
  end
  if added == 0 then return end
  local card = call('ZCARD', key)
  if card > l.max + l.max / 4 then call('ZREMRANGEBYRANK', key, 0, -(l.max + 1)) end
  if lives and ttl > 0 and (card == added or fresh) then call('PEXPIRE', key, ttl) end
end

-- prune drops the buckets that are older than the retention allows.
local function prune(key, clock)
  local d = math.floor(clock / DAY)
  local cut = {h = d * 24 - keep.h, d = d - keep.d, c = d - keep.c}
  local dead = {}
  for _, f in ipairs(call('HKEYS', key)) do
    local u, index = string.match(f, '^[^@]*@([hdc])(%d+)')
    if u and sub(f, 1, 2) ~= 'v:' and tonumber(index) < cut[u] then dead[#dead + 1] = f end
  end
  for i = 1, #dead, CHUNK do
    call('HDEL', key, unpack(dead, i, math.min(i + CHUNK - 1, #dead)))
  end
end

-- limit forgets the oldest links to visitors beyond the limit.
local function limit(key)
  local all, links = call('HGETALL', key), {}
  for i = 1, #all, 2 do
    if sub(all[i], 1, 2) == 'v:' then links[#links + 1] = {all[i], tonumber(all[i + 1])} end
  end
  table.sort(links, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] > b[1] end)
  for i = VISITORS + 1, #links do call('HDEL', key, links[i][1]) end
end

-- set collects the names and values of one HSET.
local set, size = {}, 0

local function flush(key)
  if size > 0 then call('HSET', key, unpack(set, 1, size)) end
  size = 0
end

-- counters changes the counters of an entity: first those to add to, then the minima, then the
-- maxima. old are the values of the first chunk; false when the entity was just erased.
local function counters(key, ent, shape, old)
  local adds, low, n = shape[1], shape[1] + shape[2], #shape - NAMES
  for c = 0, n - 1, CHUNK do
    local stop, skip = c + CHUNK, 3
    if stop > n then stop = n end
    if c > 0 then
      skip = -c
      old = old and call('HMGET', key, unpack(shape, NAMES + c + 1, NAMES + stop))
    end
    for i = c + 1, stop do
      local was, name, v = old and old[i + skip], shape[NAMES + i], ent[HEAD + i]
      if was and i <= adds then
        local a, b = tonumber(was), tonumber(v)
        local sum = a + b
        if a < EXACT and a > -EXACT and b < EXACT and b > -EXACT and sum < EXACT and sum > -EXACT then
          v = format('%d', sum)
        else
          bigAdd(key, name, v)
          v = nil
        end
      elseif was and ((i <= low) ~= (tonumber(v) < tonumber(was)) or v == was) then
        v = nil
      end
      if v then
        set[size + 1] = name
        set[size + 2] = v
        size = size + 2
      end
    end
    if stop < n then flush(key) end
  end
end

-- Pass 2: apply.
local changed = {}
for e = 1, #entities do
  local ent, old = entities[e], read[e]
  local suffix, shape, clock, oldest, rest = ent[1], shapes[ent[2]], ent[3], ent[4], ent[5]
  local key, kind, id = prefix .. suffix, sub(suffix, 1, 1), sub(suffix, 3)
  local last, olddoct = old[2], old[3]
  if rest ~= 0 and rest[2] ~= '' then
    olddoct = erase(key, id, rest[2], olddoct)
    old, last = false, false
  end
  counters(key, ent, shape, old)
  local now, before = clock ~= '' and tonumber(clock), last and tonumber(last)
  if now and not (before and before >= now) then
    set[size + 1] = 'last'
    set[size + 2] = clock
    size = size + 2
  else
    now = before
  end
  if rest ~= 0 and rest[3] ~= '' then
    local o, t = olddoct and tonumber(olddoct), tonumber(rest[4])
    if rest[3] == 'put' and (not o or t >= o) then
      for _, v in ipairs({'doc', rest[5], 'doct', rest[4]}) do
        size = size + 1
        set[size] = v
      end
    elseif rest[3] == 'withdraw' and (not o or t > o) then
      call('HDEL', key, 'doc')
      set[size + 1] = 'doct'
      set[size + 2] = rest[4]
      size = size + 2
    end
  end
  flush(key)
  if shape[3] == 1 then limit(key) end

  -- Retention and lifetime follow the newest event and are looked after when its day changes.
  local today = now and floor(now / DAY)
  local advanced = before and today > floor(before / DAY)
  if now and (advanced or floor(tonumber(oldest) / HOUR) < today * 24 - keep.h) then prune(key, now) end
  local fresh = kind == 'u' and ttl > 0 and (advanced or not last or ttl < 2 * DAY)
  if fresh then
    call('PEXPIRE', key, ttl)
    for i = 1, last and ofUsers or 0 do call('PEXPIRE', prefix .. 'l:' .. lists[i].name .. ':' .. id, ttl) end
  end
  local a = HEAD + 1 + #shape - NAMES
  for _ = 1, ent[6] do
    push(lists[ent[a]], id, ent, a + 2, ent[a + 1], fresh, kind == 'u')
    a = a + 2 + 2 * ent[a + 1]
  end
  if kind == 'i' then changed[#changed + 1] = id end
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

-- What is stored about an entity is a list of packed parts (features/pack.go). New parts are appended;
-- parts are replaced by one that says the same only when they are byte for byte what was read.
local call = redis.call

-- same tells whether the n parts in ARGV after place a are the first of the key, or all when n is 0. It
-- says no as well when there are more behind them than one call takes.
local function same(key, n, a)
  if n == 0 then return call('EXISTS', key) == 0 end
  local have = call('LRANGE', key, 0, n - 1)
  if #have ~= n or call('LLEN', key) > n + 1000 then return false end
  for i = n, 1, -1 do
    if have[i] ~= ARGV[a + i] then return false end
  end
  return true
end

-- replace puts one part in place of the first n; what others have appended meanwhile goes behind it. It
-- is written in a way that survives what Redis makes of a log whose end was lost (Schema.Unpack): the first
-- command alone changes nothing of what is said, and both count from the end of the list.
local function replace(key, n, part)
  local behind = n > 0 and call('LRANGE', key, n, -1) or {}
  call('RPUSH', key, part, unpack(behind))
  if n > 0 then call('LTRIM', key, -1 - #behind, -1) end
end

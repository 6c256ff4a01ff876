-- Adds a change to a shared archive of rules, when nobody was faster.
--
-- KEYS  1 head, 2 audit stream, 3 records, 4 files
-- ARGV  1 the head that the change goes on from, 2 the new head, 3 channel, 4 number of lines, 5 number of
--       records; then id and text of each line, id and text of each record, id and text of each tree
-- Reply: 1, or 0 when the head is another one and nothing was done.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
local a, lines, records = 6, tonumber(ARGV[4]), tonumber(ARGV[5])
if ARGV[1] == '' then redis.call('DEL', KEYS[2]) end -- a stream whose lines were deleted keeps its last id
for _ = 1, lines do
  redis.call('XADD', KEYS[2], ARGV[a], 'l', ARGV[a + 1])
  a = a + 2
end
for _ = 1, records do
  redis.call('HSET', KEYS[3], ARGV[a], ARGV[a + 1])
  a = a + 2
end
while a < #ARGV do
  redis.call('HSET', KEYS[4], ARGV[a], ARGV[a + 1])
  a = a + 2
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[2])
return 1

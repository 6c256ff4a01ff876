-- Replaces the parts of entities of one virtual shard. Needs no fence: it changes what is stored only
-- when it is what was read, and the caller says what the new part means.
--
-- KEYS  the entities
-- ARGV  1 lifetime in ms to set, 0 = leave it; then for each entity the number of parts that were read,
--       these parts, and the new one
-- Reply: the entities, from 1, that were something else by now and are left alone.
local a, moved = 2, {}
for e = 1, #KEYS do
  local n = tonumber(ARGV[a])
  if same(KEYS[e], n, a) then
    replace(KEYS[e], n, ARGV[a + n + 1])
    if ARGV[1] ~= '0' then call('PEXPIRE', KEYS[e], ARGV[1]) end
  else
    moved[#moved + 1] = e
  end
  a = a + n + 2
end
return moved

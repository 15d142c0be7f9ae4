-- Takes sessions out of an index that are still entered as they were: ids and tokens by turns; an
-- empty token takes the entry out whatever it is. An empty index goes.

for at = 2, #ARGV, 2 do
  if ARGV[at + 1] == '' or redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
if redis.call('HLEN', KEYS[1]) == 1 and redis.call('HEXISTS', KEYS[1], '') == 1 then
  redis.call('DEL', KEYS[1])
end
return {DONE}

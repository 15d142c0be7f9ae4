-- Makes a session. 1 milliseconds to keep it, then the fields of the hash as they are.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return {0}
end
local words = {}
for at = 2, #ARGV do
  words[at - 1] = ARGV[at]
end
redis.call('HSET', KEYS[1], unpack(words))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {1}

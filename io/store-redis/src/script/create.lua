-- Makes a session. 1 milliseconds to keep it, then the fields of the hash as they are.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return GONE
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return DONE

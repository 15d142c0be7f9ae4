-- Enters sessions in the index of their subject. 2 milliseconds to keep it at least, then ids: one
-- that begins with "-" is taken out. Answers with the token of the binding, and the number of
-- sessions.

local held = redis.call('HGET', KEYS[1], '')
if held and string.byte(held) ~= VERSION then
  return {NEWER, string.byte(held) or 0}
end
local token = held and later(struct.unpack('>I6I2', held, 2)) or later(0, 0)
redis.call('HSET', KEYS[1], '', string.char(VERSION) .. token)
for at = 3, #ARGV do
  if string.sub(ARGV[at], 1, 1) == '-' then
    redis.call('HDEL', KEYS[1], string.sub(ARGV[at], 2))
  else
    redis.call('HSET', KEYS[1], ARGV[at], token)
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {DONE, token, redis.call('HLEN', KEYS[1]) - 1}

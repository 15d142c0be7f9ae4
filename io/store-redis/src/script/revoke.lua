-- Raises the mark of a subject, and answers with it, with a token that is later, and with the index.

local held = redis.call('HGET', KEYS[1], '')
if not held then
  return {GONE}
elseif string.byte(held) ~= VERSION then
  return {NEWER, string.byte(held) or 0}
end
local raised = later(struct.unpack('>I6I2', held, 2))
local token = later(struct.unpack('>I6I2', raised))
redis.call('HSET', KEYS[1], '', string.char(VERSION) .. token)
return {DONE, raised, token, redis.call('HGETALL', KEYS[1])}

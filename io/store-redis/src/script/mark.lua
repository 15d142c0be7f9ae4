-- Puts the mark of its end in place of a session.
local function mark(key, hard)
  redis.call('DEL', key)
  redis.call('HSET', key, '', string.char(VERSION, ENDED))
  keep_until(key, hard)
end

-- Ends a session.

local held = redis.call('HMGET', KEYS[1], '', SUBJECT)
local meta, subject = held[1], held[2]
local refusal = refusal_of(meta)
if refusal then
  return refusal
end
local seen, hard, idle = struct.unpack('>I6I6I6', meta, 9)
mark(KEYS[1], hard)
-- What has expired by the clock of this client is ended as well: by another's it may yet be alive.
if math.min(seen + idle, hard) <= now then
  return GONE
end
return subject and {DONE, subject} or DONE

-- Ends a session.

local meta, subject = unpack(redis.call('HMGET', KEYS[1], '', SUBJECT))
local refusal = refusal_of(meta)
if refusal then
  return refusal
end
local _, _, _, seen, hard, idle = struct.unpack(META, meta)
mark(KEYS[1], hard)
-- What has expired by the clock of this client is ended as well: by another's it may yet be alive.
if math.min(seen + idle, hard) <= now then
  return {GONE}
end
return {DONE, subject}

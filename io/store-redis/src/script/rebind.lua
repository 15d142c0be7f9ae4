-- Binds a session anew to the subject that it is bound to. 2 the subject, 3 the token.

local meta, bound = unpack(redis.call('HMGET', KEYS[1], '', SUBJECT))
local refusal = refusal_of(meta)
if refusal then
  return refusal
end
local _, _, _, seen, hard, idle, _, _, ms, counter = struct.unpack(META, meta)
if math.min(seen + idle, hard) <= now or not bound or string.sub(bound, 17) ~= ARGV[2] then
  return {GONE}
end
local stamp = later(ms, counter)
meta = string.sub(meta, 1, 42) .. stamp .. string.sub(meta, 51)
redis.call('HSET', KEYS[1], '', meta, SUBJECT, stamp .. ARGV[3] .. ARGV[2])
return {DONE, stamp}

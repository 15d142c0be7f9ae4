-- Ends a session if it is bound to a subject by a token that is not later than a mark. 2 the
-- subject, 3 the mark. Answers 0 if there is nothing, 1 if it has ended, 2 if it is bound to the
-- subject later, 3 with the stub if it was renewed, 8 if it is not bound to the subject.

local meta, bound = unpack(redis.call('HMGET', KEYS[1], '', SUBJECT))
local refusal = refusal_of(meta)
if refusal then
  if refusal[2] == 1 and refusal[1] == GONE then
    return {DONE}
  end
  return refusal
end
if not bound or string.sub(bound, 17) ~= ARGV[2] then
  return {UNBOUND}
end
local ms, counter = struct.unpack('>I6I2', bound, 9)
local mark_ms, mark_counter = struct.unpack('>I6I2', ARGV[3])
if ms > mark_ms or ms == mark_ms and counter > mark_counter then
  return {CONFLICT}
end
local _, _, _, _, hard = struct.unpack(META, meta)
mark(KEYS[1], hard)
return {DONE}

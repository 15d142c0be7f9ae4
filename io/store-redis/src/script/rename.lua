-- Moves a session to another id, with changes. Keys: the old id's, the new one's, and where to keep
-- what the old one sees. 8 what becomes of the old id: "follows", "freezes" or "ends"; 9 until when;
-- 10 the text of the new id; 11 "1" if a renewal has come before this one.

local refusal, words, drops, deadline, stamp, subject, hard =
  weigh(KEYS[1], 12, ARGV[11] == '1', true)
if (not refusal or refusal[1] == CONFLICT) and redis.call('EXISTS', KEYS[2]) == 1 then
  return {GONE}
end
if refusal then
  return refusal
end
local frozen, grace = 0, tonumber(ARGV[9])
if ARGV[8] == 'freezes' then
  frozen = 1
  redis.call('COPY', KEYS[1], KEYS[3], 'REPLACE')
  keep_until(KEYS[3], grace)
elseif ARGV[8] == 'ends' then
  -- An old id that has ended is one whose grace is over: whoever ends all sessions of a subject
  -- still finds the session by it.
  grace = 0
end
write(KEYS[1], words, drops, deadline)
redis.call('RENAME', KEYS[1], KEYS[2])
local stub = struct.pack('>BBBI6', VERSION, MOVED, frozen, grace) .. ARGV[10]
redis.call('HSET', KEYS[1], '', stub)
keep_until(KEYS[1], hard)
return {DONE, stamp, subject, hard}

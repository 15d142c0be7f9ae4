-- Changes a session. Whoever changes neither its subject nor its hard deadline is told the stamp alone.

local is_plain = ARGV[6] == '' and ARGV[7] == ''
local refusal, words, drops, deadline, stamp, subject, hard =
  weigh(KEYS[1], 8, false, not is_plain or ARGV[2] == '1')
if refusal then
  return refusal
end
write(KEYS[1], words, drops, deadline)
if is_plain then
  return stamp
end
return {DONE, stamp, ARGV[6] ~= '' and subject, hard}

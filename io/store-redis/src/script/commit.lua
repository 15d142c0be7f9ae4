-- Changes a session.

local refusal, change = weigh(KEYS[1], 8, false)
if refusal then
  return refusal
end
write(KEYS[1], change)
return {DONE, change.stamp, ARGV[6] ~= '' and change.subject, change.hard}

-- Changes of a session. After the time: 2 "1" to clear; 3 created, 4 seen, 5 idle
-- time-out, 6 hard deadline, each in milliseconds or empty; 7 subject: empty, "-" for none, or "+"
-- with the token of the binding and the name. From `first` on, for each field: its name; what it is
-- expected to be: empty for anything, "-" for absent, or the stamp; the operation; its argument.

local MAX_FIELDS, MAX_VALUE_BYTES, MAX_RECORD_BYTES = 256, 1048576, 4194304
local RECORD_BYTES, FIELD_BYTES = 160, 96

-- What the fields come to: what to put and what to drop, and the count and the bytes after that. Or
-- the place of one that can not be changed so.
local function weigh_fields(first, held, clear, count, bytes)
  local puts, drops, too_long = {}, {}, false
  local place = 0
  for at = first, #ARGV, 4 do
    place = place + 1
    local name, operation, argument = ARGV[at], ARGV[at + 2], ARGV[at + 3]
    local was = not clear and held[place + 2]
    local value
    if operation == 'P' then
      value = argument
    elseif operation ~= 'R' then
      local wrong
      value, wrong = relative(operation, argument, was and string.sub(was, 9))
      if wrong then
        return place
      end
    end
    if was then
      count, bytes = count - 1, bytes - FIELD_BYTES - #name - (#was - 8)
    end
    if value then
      count, bytes = count + 1, bytes + FIELD_BYTES + #name + #value
      too_long = too_long or #value > MAX_VALUE_BYTES
      puts[#puts + 1] = name
      puts[#puts + 1] = value
    elseif was then
      drops[#drops + 1] = name
    end
  end
  return nil, puts, drops, count, bytes, too_long
end

-- The reply if the changes of the session under this key are refused; otherwise nothing, and what
-- has to be written.
local function weigh(key, first, must_conflict)
  local names = {}
  for at = first, #ARGV, 4 do
    names[#names + 1] = ARGV[at]
  end
  local held = redis.call('HMGET', key, '', SUBJECT, unpack(names))
  local meta, subject = held[1], held[2]
  local refusal = refusal_of(meta)
  if refusal then
    return refusal
  end
  local _, _, created, seen, hard, idle, idle_stamp, cleared, latest, count, bytes =
    struct.unpack(META, meta)
  local deadline = math.min(seen + idle, hard)
  if deadline <= now then
    return {GONE}
  end
  local conflicts = {CONFLICT}
  for place = 1, #names do
    local expected, was = ARGV[first + place * 4 - 3], held[place + 2]
    if expected == '-' and was
      or #expected > 1 and (not was or string.sub(was, 1, 8) ~= expected) then
      conflicts[#conflicts + 1] = place
    end
  end
  if must_conflict or #conflicts > 1 then
    return conflicts
  end

  local stamp = later(latest)
  local clear = ARGV[2] == '1'
  local subject_bytes = subject and #subject - 16 or 0
  if clear then
    cleared, count, bytes = stamp, 0, RECORD_BYTES + subject_bytes
  end
  local wrong, puts, drops, too_long
  wrong, puts, drops, count, bytes, too_long = weigh_fields(first, held, clear, count, bytes)
  if wrong then
    return {INCOMPATIBLE, wrong}
  end
  local bound = ARGV[7]
  if bound == '-' then
    bytes = bytes - subject_bytes
  elseif bound ~= '' then
    bytes = bytes - subject_bytes + #bound - 9
  end
  if count > MAX_FIELDS then
    return {TOO_LARGE, 1}
  elseif too_long then
    return {TOO_LARGE, 2}
  elseif bytes > MAX_RECORD_BYTES then
    return {TOO_LARGE, 3}
  end

  created = math.min(created, tonumber(ARGV[3]) or created)
  seen = math.max(seen, tonumber(ARGV[4]) or 0)
  hard = math.max(hard, tonumber(ARGV[6]) or 0)
  if ARGV[5] ~= '' then
    idle, idle_stamp = tonumber(ARGV[5]), stamp
  end
  local next_deadline = math.min(seen + idle, hard)
  return nil, {
    stamp = stamp, clear = clear, puts = puts, drops = drops, subject = subject, hard = hard,
    deadline = next_deadline ~= deadline and next_deadline,
    meta = struct.pack(META, VERSION, LIVE, created, seen, hard, idle, idle_stamp, cleared, stamp,
      count, bytes) .. string.sub(meta, META_BYTES + 1),
  }
end

-- Writes what was weighed. Names that are no UTF-8 are not of fields, and stay.
local function write(key, change)
  local bound, drops = ARGV[7], change.drops
  if change.clear then
    drops = {}
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if name ~= '' and string.byte(name) < 245 then
        drops[#drops + 1] = name
      end
    end
  end
  if bound == '-' then
    drops[#drops + 1] = SUBJECT
  end
  if #drops > 0 then
    redis.call('HDEL', key, unpack(drops))
  end
  local words = {'', change.meta}
  if bound ~= '' and bound ~= '-' then
    change.subject = change.stamp .. string.sub(bound, 2)
    words[3], words[4] = SUBJECT, change.subject
  end
  for at = 1, #change.puts, 2 do
    words[#words + 1] = change.puts[at]
    words[#words + 1] = change.stamp .. change.puts[at + 1]
  end
  redis.call('HSET', key, unpack(words))
  if change.deadline then
    keep_until(key, change.deadline)
  end
end

-- Changes of a session. After the time: 2 "1" to clear; 3 created, 4 seen, 5 idle
-- time-out, 6 hard deadline, each in milliseconds or empty; 7 subject: empty, "-" for none, or "+"
-- with the token of the binding and the name. From `first` on, for each field: its name; what it is
-- expected to be: empty for anything, "-" for absent, or the stamp; the operation; its argument.

-- What the fields come to: what to put is added to the words, and given are what to drop, and the count
-- and the bytes after that. Or the place of one that can not be changed so.
local function weigh_fields(first, held, stamp, words, count, bytes)
  local drops, too_long, clear = {}, false, ARGV[2] == '1'
  local place = 1
  for at = first, #ARGV, 4 do
    place = place + 1
    local name, operation, value = ARGV[at], ARGV[at + 2], ARGV[at + 3]
    local was = not clear and held[place]
    if operation == 'R' then
      value = nil
    elseif operation ~= 'P' then
      local wrong
      value, wrong = relative(operation, value, was and string.sub(was, 9))
      if wrong then
        return place - 1
      end
    end
    if was then
      count, bytes = count - 1, bytes - FIELD_BYTES - #name - (#was - 8)
    end
    if value then
      count, bytes = count + 1, bytes + FIELD_BYTES + #name + #value
      too_long = too_long or #value > MAX_VALUE_BYTES
      words[#words + 1] = name
      words[#words + 1] = stamp .. value
    elseif was then
      drops[#drops + 1] = name
    end
  end
  return nil, drops, count, bytes, too_long
end

-- The reply if the changes of the session under this key are refused; otherwise nothing, what has to be
-- put and to be dropped, the deadline if it is another, and the session's stamp, subject and hard
-- deadline after that. The subject is known only if it is asked for, or part of the change.
local function weigh(key, first, must_conflict, asks_subject)
  local names = {''}
  for at = first, #ARGV, 4 do
    names[#names + 1] = ARGV[at]
  end
  local fields = #names - 1
  if asks_subject then
    names[fields + 2] = SUBJECT
  end
  local held = redis.call('HMGET', key, unpack(names))
  local meta, subject = held[1], asks_subject and held[fields + 2]
  local refusal = refusal_of(meta)
  if refusal then
    return refusal
  end
  local _, _, created, seen, hard, idle, idle_stamp, cleared, ms, counter, count, bytes =
    struct.unpack(META, meta)
  local deadline = math.min(seen + idle, hard)
  if deadline <= now then
    return {GONE}
  end
  local conflicts = must_conflict and {CONFLICT}
  for place = 1, fields do
    local expected, was = ARGV[first + place * 4 - 3], held[place + 1]
    if expected == '-' and was
      or #expected > 1 and (not was or string.sub(was, 1, 8) ~= expected) then
      conflicts = conflicts or {CONFLICT}
      conflicts[#conflicts + 1] = place
    end
  end
  if conflicts then
    return conflicts
  end

  local stamp = later(ms, counter)
  local words, bound = {'', ''}, ARGV[7]
  local subject_bytes = subject and #subject - 16 or 0
  if ARGV[2] == '1' then
    cleared, count, bytes = stamp, 0, RECORD_BYTES + subject_bytes
  end
  if bound ~= '' then
    bytes = bytes - subject_bytes
    if bound ~= '-' then
      bytes = bytes + #bound - 9
      subject = stamp .. string.sub(bound, 2)
      words[3], words[4] = SUBJECT, subject
    end
  end
  local wrong, drops, too_long
  wrong, drops, count, bytes, too_long = weigh_fields(first, held, stamp, words, count, bytes)
  if wrong then
    return {INCOMPATIBLE, wrong}
  elseif count > MAX_FIELDS then
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
  ms, counter = struct.unpack('>I6I2', stamp)
  words[2] = struct.pack(META, VERSION, LIVE, created, seen, hard, idle, idle_stamp, cleared, ms,
    counter, count, bytes) .. string.sub(meta, META_BYTES + 1)
  local next_deadline = math.min(seen + idle, hard)
  return nil, words, drops, next_deadline ~= deadline and next_deadline, stamp, subject, hard
end

-- Writes what was weighed. Names that are no UTF-8 are not of fields, and stay.
local function write(key, words, drops, deadline)
  if ARGV[2] == '1' then
    drops = {}
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if name ~= '' and string.byte(name) < 245 then
        drops[#drops + 1] = name
      end
    end
  end
  if ARGV[7] == '-' then
    drops[#drops + 1] = SUBJECT
  end
  if #drops > 0 then
    redis.call('HDEL', key, unpack(drops))
  end
  redis.call('HSET', key, unpack(words))
  if deadline then
    keep_until(key, deadline)
  end
end

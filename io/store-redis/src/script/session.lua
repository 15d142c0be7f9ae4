-- What every script that changes a session begins with. The layout of what is stored, and the
-- numbers of the replies, are documented in lib.rs and script.rs.

local VERSION, LIVE, MOVED, ENDED = 1, 76, 77, 69 -- L, M, E
local META, META_BYTES = '>BBI6I6I6I6c8c8c8I2I4', 56
local SUBJECT = '\255'
local GONE, DONE, CONFLICT, STUB, TOO_LARGE, INCOMPATIBLE, NEWER, CORRUPT = 0, 1, 2, 3, 4, 5, 6, 7
local SLACK_MS = 60000

local now = tonumber(ARGV[1])

local function whole(number)
  return string.format('%.0f', number)
end

-- The stamp after this one that is not before now: six bytes of milliseconds, two of counter.
local function later(stamp)
  local ms, counter = struct.unpack('>I6I2', stamp)
  if now > ms then
    return struct.pack('>I6I2', now, 0)
  elseif counter < 65534 then
    return struct.pack('>I6I2', ms, counter + 1)
  elseif ms < 281474976710655 then
    return struct.pack('>I6I2', ms + 1, 0)
  end
  return stamp
end

-- The reply if there is no session with this meta that can be changed.
local function refusal_of(meta)
  if not meta then
    return {GONE}
  end
  local version, kind = string.byte(meta, 1, 2)
  if version ~= VERSION then
    return {NEWER, version or 0}
  elseif kind == MOVED then
    return {STUB, meta}
  elseif kind == ENDED then
    return {GONE, 1}
  elseif kind ~= LIVE or #meta < META_BYTES then
    return {CORRUPT}
  end
end

-- Keeps the key for so long after a deadline that no clock of a client is behind it by more.
local function keep_until(key, deadline)
  redis.call('PEXPIRE', key, whole(math.max(deadline - now, 0) + SLACK_MS))
end

-- Puts the mark of its end in place of a session.
local function mark(key, hard)
  redis.call('DEL', key)
  redis.call('HSET', key, '', string.char(VERSION, ENDED))
  keep_until(key, hard)
end

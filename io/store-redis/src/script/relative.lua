-- Counters and sets, on MessagePack, as core/session/src/write.rs does it. A number in Lua is a
-- double and holds no 64 bits: an integer is two halves of 32, in two's complement.

local TWO_31, TWO_32 = 2147483648, 4294967296

-- The halves of the one integer that these bytes are; nothing if they are something else.
local function integer(bytes)
  local marker = string.byte(bytes, 1)
  local rest = #bytes - 1
  if not marker then
    return
  elseif marker < 128 and rest == 0 then
    return 0, marker
  elseif marker >= 224 and rest == 0 then
    return TWO_32 - 1, TWO_32 - 256 + marker
  elseif marker == 204 and rest == 1 then
    return 0, (struct.unpack('>B', bytes, 2))
  elseif marker == 205 and rest == 2 then
    return 0, (struct.unpack('>I2', bytes, 2))
  elseif marker == 206 and rest == 4 then
    return 0, (struct.unpack('>I4', bytes, 2))
  elseif marker == 207 and rest == 8 then
    local high, low = struct.unpack('>I4I4', bytes, 2)
    if high < TWO_31 then
      return high, low
    end
  elseif marker >= 208 and marker <= 210 and rest == 2 ^ (marker - 208) then
    local low = struct.unpack('>i' .. rest, bytes, 2)
    if low < 0 then
      return TWO_32 - 1, TWO_32 + low
    end
    return 0, low
  elseif marker == 211 and rest == 8 then
    local high, low = struct.unpack('>I4I4', bytes, 2)
    return high, low
  end
end

-- The shortest form of an integer.
local function integer_of(high, low)
  if high == 0 then
    if low < 128 then
      return string.char(low)
    elseif low < 256 then
      return string.char(204, low)
    elseif low < 65536 then
      return struct.pack('>BI2', 205, low)
    end
    return struct.pack('>BI4', 206, low)
  elseif high < TWO_31 then
    return struct.pack('>BI4I4', 207, high, low)
  elseif high == TWO_32 - 1 and low >= TWO_31 then
    local below = TWO_32 - low
    if below <= 32 then
      return string.char(256 - below)
    elseif below <= 128 then
      return string.char(208, 256 - below)
    elseif below <= 32768 then
      return struct.pack('>BI2', 209, 65536 - below)
    end
    return struct.pack('>BI4', 210, low)
  end
  return struct.pack('>BI4I4', 211, high, low)
end

-- Adds, and stays within what 64 bits hold.
local function sum(high, low, more_high, more_low)
  local sum_low = low + more_low
  local carry = 0
  if sum_low >= TWO_32 then
    sum_low, carry = sum_low - TWO_32, 1
  end
  local sum_high = (high + more_high + carry) % TWO_32
  local negative, more_negative = high >= TWO_31, more_high >= TWO_31
  if negative == more_negative and negative ~= (sum_high >= TWO_31) then
    if negative then
      return TWO_31, 0
    end
    return TWO_31 - 1, TWO_32 - 1
  end
  return sum_high, sum_low
end

-- By the first byte of a value: bytes of length that follow, bytes that are always there besides,
-- and values it contains (for each unit of length, if it has one).
local FORMS = {
  [192] = {0, 0, 0}, [194] = {0, 0, 0}, [195] = {0, 0, 0},
  [196] = {1, 0, 0}, [197] = {2, 0, 0}, [198] = {4, 0, 0},
  [199] = {1, 1, 0}, [200] = {2, 1, 0}, [201] = {4, 1, 0},
  [202] = {0, 4, 0}, [203] = {0, 8, 0},
  [204] = {0, 1, 0}, [205] = {0, 2, 0}, [206] = {0, 4, 0}, [207] = {0, 8, 0},
  [208] = {0, 1, 0}, [209] = {0, 2, 0}, [210] = {0, 4, 0}, [211] = {0, 8, 0},
  [212] = {0, 2, 0}, [213] = {0, 3, 0}, [214] = {0, 5, 0}, [215] = {0, 9, 0}, [216] = {0, 17, 0},
  [217] = {1, 0, 0}, [218] = {2, 0, 0}, [219] = {4, 0, 0},
  [220] = {2, 0, 1}, [221] = {4, 0, 1}, [222] = {2, 0, 2}, [223] = {4, 0, 2},
}

local function form(marker)
  if marker < 128 or marker >= 224 then
    return 0, 0, 0
  elseif marker < 144 then
    return 0, 0, (marker - 128) * 2
  elseif marker < 160 then
    return 0, 0, marker - 144
  elseif marker < 192 then
    return 0, marker - 160, 0
  end
  local found = FORMS[marker]
  if found then
    return found[1], found[2], found[3]
  end
end

-- Where the value that begins here ends: the place after it. Nesting is counted, not descended.
local function after_value(bytes, place)
  local open = 1
  while open > 0 do
    local marker = string.byte(bytes, place)
    if not marker then
      return
    end
    local length_bytes, fixed, nested = form(marker)
    if not length_bytes or place + length_bytes > #bytes then
      return
    end
    local length = 0
    if length_bytes > 0 then
      length = struct.unpack('>I' .. length_bytes, bytes, place + 1)
    end
    place = place + 1 + length_bytes + fixed
    if length_bytes > 0 and nested == 0 then
      place = place + length
    end
    if place > #bytes + 1 then
      return
    end
    open = open - 1
    if length_bytes == 0 then
      open = open + nested
    else
      open = open + length * nested
    end
  end
  return place
end

-- The elements of the one array that these bytes are; nothing if they are something else.
local function elements(bytes)
  local marker = string.byte(bytes, 1)
  local count, place
  if not marker then
    return
  elseif marker >= 144 and marker < 160 then
    count, place = marker - 144, 2
  elseif marker == 220 and #bytes >= 3 then
    count, place = struct.unpack('>I2', bytes, 2), 4
  elseif marker == 221 and #bytes >= 5 then
    count, place = struct.unpack('>I4', bytes, 2), 6
  else
    return
  end
  local found = {}
  for _ = 1, count do
    local after = after_value(bytes, place)
    if not after then
      return
    end
    found[#found + 1] = string.sub(bytes, place, after - 1)
    place = after
  end
  if place == #bytes + 1 then
    return found
  end
end

-- The order of bytes. Lua's own `<` is the order of the server's language.
local function before(one, other)
  local length = math.min(#one, #other)
  for place = 1, length do
    local left, right = string.byte(one, place), string.byte(other, place)
    if left ~= right then
      return left < right
    end
  end
  return #one < #other
end

local function array_of(sorted)
  local head
  if #sorted < 16 then
    head = string.char(144 + #sorted)
  elseif #sorted < 65536 then
    head = struct.pack('>BI2', 220, #sorted)
  else
    head = struct.pack('>BI4', 221, #sorted)
  end
  return head .. table.concat(sorted)
end

-- In the order of bytes, each once. A set that was put together here is in order already.
local function in_order(elements)
  local is_sorted = true
  for at = 2, #elements do
    is_sorted = is_sorted and before(elements[at - 1], elements[at])
  end
  if is_sorted then
    return elements
  end
  table.sort(elements, before)
  local once = {}
  for _, element in ipairs(elements) do
    if element ~= once[#once] then
      once[#once + 1] = element
    end
  end
  return once
end

-- The set there was, with and without these members, which come in order: each is a byte that says
-- which, four of length, and its own. Merged, because a sort of a large set would hold up everybody.
local function with_members(bytes, members)
  local held = {}
  if bytes then
    held = elements(bytes)
    if not held then
      return nil, true
    end
    held = in_order(held)
  end
  local merged, at, place = {}, 1, 1
  while place <= #members do
    local is_in, length = struct.unpack('>BI4', members, place)
    local member = string.sub(members, place + 5, place + 4 + length)
    place = place + 5 + length
    while held[at] and held[at] ~= member and before(held[at], member) do
      merged[#merged + 1] = held[at]
      at = at + 1
    end
    if held[at] == member then
      at = at + 1
    end
    if is_in == 1 then
      merged[#merged + 1] = member
    end
  end
  for left = at, #held do
    merged[#merged + 1] = held[left]
  end
  if #merged == 0 and not bytes then
    return nil
  end
  return array_of(merged)
end

-- What becomes of a value: the new one or nothing, and whether it can not be done.
local function relative(operation, argument, bytes)
  if operation == 'M' then
    return with_members(bytes, argument)
  end
  local high, low = 0, 0
  if bytes then
    high, low = integer(bytes)
    if not high then
      return nil, true
    end
  end
  local more_high, more_low = struct.unpack('>I4I4', argument)
  return integer_of(sum(high, low, more_high, more_low))
end

-- The stamp after this one that is not before now: six bytes of milliseconds, two of counter.
local function later(ms, counter)
  if now > ms then
    return struct.pack('>I6I2', now, 0)
  elseif counter < 65534 then
    return struct.pack('>I6I2', ms, counter + 1)
  elseif ms < 281474976710655 then
    return struct.pack('>I6I2', ms + 1, 0)
  end
  return struct.pack('>I6I2', ms, counter)
end

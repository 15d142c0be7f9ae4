-- What a script that changes a session begins with. Names in capitals are put in as text: names.rs has
-- them. Each function, and each local that one uses, is made anew whenever a script runs, so there are few.

local now = tonumber(ARGV[1])

-- The reply if there is no session with this meta that can be changed.
local function refusal_of(meta)
  if not meta then
    return {GONE}
  end
  local version, kind = string.byte(meta, 1, 2)
  if version ~= VERSION then
    return {NEWER, version or 0}
  elseif kind == LIVE and #meta >= META_BYTES then
    return
  elseif kind == MOVED then
    return {STUB, meta}
  elseif kind == ENDED then
    return {GONE, 1}
  end
  return {CORRUPT}
end

-- Keeps the key for so long after a deadline that no clock of a client is behind it by more.
local function keep_until(key, deadline)
  redis.call('PEXPIRE', key, math.max(deadline - now, 0) + SLACK_MS)
end

-- Blocks an account's budget for a while, and slows its pace. KEYS and the hash: see budget.lua.
--
-- ARGV  the clock, in tests, or ""; the microseconds to block; how much slower to go; the slowest

local time = redis.call("TIME")
local now = tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
local blocked = tonumber(redis.call("HGET", KEYS[1], "blocked") or 0)

-- Requests that were under way together are refused together: that is one reason to go slower, not several.
if blocked <= now then
  local slow = tonumber(redis.call("HGET", KEYS[1], "slow") or 1)
  redis.call("HSET", KEYS[1], "slow", math.min(slow * tonumber(ARGV[3]), tonumber(ARGV[4])))
end
redis.call("HSET", KEYS[1], "blocked", math.max(blocked, now + tonumber(ARGV[2])))
redis.call("EXPIRE", KEYS[1], 26 * 3600)

-- Blocks an account's budget for a while. KEYS and the hash: see budget.lua.
--
-- ARGV  the clock, in tests, or ""; the microseconds to block

local time = redis.call("TIME")
local now = tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
local blocked = tonumber(redis.call("HGET", KEYS[1], "blocked") or 0)

redis.call("HSET", KEYS[1], "blocked", math.max(blocked, now + tonumber(ARGV[2])))
redis.call("EXPIRE", KEYS[1], 26 * 3600)

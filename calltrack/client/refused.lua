-- The provider refused a request: learns from that how fast it lets us go, and blocks the budget for a while.
-- Returns the microseconds until something may be granted. KEYS and the hash: see budget.lua.
--
-- If we were going faster than a period before, that was too fast: back to what held then. If not, the limit has
-- fallen: a good deal slower. And refused again right after a block, a whole period of rest, so that the provider's
-- count of us is empty. Then we stay below that pace for a while, and for twice as long each time that trying a
-- faster one fails.
--
-- ARGV[1]  the clock, in tests, or ""
-- ARGV[2]  the microseconds to block, as the provider says; "": it does not say
-- ARGV[3]  the period of the slowest paced limit, in microseconds; 0: none is paced
-- ARGV[4]  its interval, in microseconds

local FALLEN, BACK, NEAR, LEAST = 0.7, 0.99, 0.97, 1 / 32
local CALM, LONGEST_CALM, PRICE = 50, 200, 3
local SHORTEST, SHARE, KEPT = 250000, 0.1, 26 * 3600

local key = KEYS[1]
local time = redis.call("TIME")
local now = tonumber(ARGV[1]) or time[1] * 1000000 + time[2]
local told, period, interval = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function known(field, default)
  return tonumber(redis.call("HGET", key, field)) or default
end

local blocked = known("blocked", 0)
local rest = told or math.max(SHORTEST, period * SHARE)

-- Requests that were under way together are refused together: that is one reason to go slower, not several.
if blocked <= now and period > 0 then
  local pace, earlier, patience = known("pace", 1), known("earlier", 1), known("patience", 0)
  local again = blocked > 0 and now < blocked + period
  local ceiling = pace
  if again or pace < earlier * 1.01 then
    pace, patience = pace * FALLEN, 0
    rest = again and math.max(rest, period) or rest
  else
    pace = math.min(earlier, pace) * BACK
    ceiling = pace / NEAR
  end
  pace = math.max(pace, LEAST)
  patience = math.min(math.max(patience * 2, CALM), LONGEST_CALM)
  local missed = rest * pace / interval
  redis.call("HSET", key, "pace", pace, "ceiling", ceiling, "base", pace, "climbed", 0, "begun", 0, "before", pace,
    "earlier", pace, "patience", patience, "calm", math.max(patience, PRICE * missed))
end

blocked = math.max(blocked, now + rest)
redis.call("HSET", key, "blocked", blocked)
redis.call("EXPIRE", key, KEPT)
return math.ceil(blocked - now)

-- The provider refused a request: learns from that how fast it lets us go, and blocks the budget for a while.
-- Returns the microseconds until something may be granted. KEYS and the hash: see budget.lua.
--
-- If we were going faster than a period before, that was too fast: back to what held then. If not, or if it comes right
-- after a block, the limit has fallen: we rest for a whole period, so that the provider's count of us is empty, go on as
-- before, and count. How many it lets through until it refuses again is the limit; a little less is our pace from then
-- on. We stay below that for a while, and for twice as long each time that trying a faster one fails.
--
-- ARGV[1]  the clock, in tests, or ""
-- ARGV[2]  the microseconds to block, as the provider says; "": it does not say
-- ARGV[3]  the period of the slowest paced limit, in microseconds; 0: none is paced
-- ARGV[4]  its interval, in microseconds

local BACK, NEAR, LEAST = 0.99, 0.97, 1 / 32
local CALM, LONGEST_CALM, PRICE = 50, 200, 8
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
  local since, ceiling, measured = known("since"), pace, ""
  if since then
    pace = math.min(pace, NEAR * math.max(1, known("let", 0) - 1) * interval / period)
    ceiling, patience = pace / NEAR, 0
    rest = math.max(rest, since + period - now)
  elseif again or pace < earlier * 1.01 then
    rest, patience = math.max(rest, period), 0
    measured = now + rest
  else
    pace = math.min(earlier, pace) * BACK
    ceiling = pace / NEAR
  end
  pace = math.max(pace, LEAST)
  patience = math.min(math.max(patience * 2, CALM), LONGEST_CALM)
  local missed = rest * pace / interval
  redis.call("HSET", key, "pace", pace, "ceiling", ceiling, "base", pace, "climbed", 0, "begun", 0, "before", pace,
    "earlier", pace, "since", measured, "let", 0, "patience", patience, "calm", math.max(patience, PRICE * missed))
end

blocked = math.max(blocked, now + rest)
redis.call("HSET", key, "blocked", blocked)
redis.call("EXPIRE", key, KEPT)
return math.ceil(blocked - now)

-- Takes one request from an account's budget: from all of its limits, or from none. Returns the microseconds to
-- wait; 0: granted.
--
-- KEYS[1]  the account's budget, a hash; all times are microseconds, by the server's clock:
--   blocked         nothing is granted before this moment
--   slow            how many times slower than allowed we go; grows with every refusal by the provider
--   paced:60        when the requests granted so far would be used up at an even pace (the limit of 60 seconds)
--   used:86400:491  how many requests were granted in the 491st piece of time (the limit of 86,400 seconds)
--
-- ARGV[1]  the clock, in tests; "": the server's
-- ARGV[2]  the most that `slow` can be
-- ARGV     four for each limit: "paced", seconds, interval, tolerance: up to `tolerance` ahead of an even pace
--                           or: "counted", seconds, pieces, most: so many requests in the period, cut in so many pieces

local RECOVERY, KEPT = 0.98, 26 * 3600

local key, slowest = KEYS[1], tonumber(ARGV[2])
local time = redis.call("TIME")
local now = tonumber(ARGV[1]) or time[1] * 1000000 + time[2]

local state, fields = {}, redis.call("HGETALL", key)
for i = 1, #fields, 2 do
  state[fields[i]] = tonumber(fields[i + 1])
end
local slow = state.slow or 1

local function each_limit(paced, counted)
  for i = 3, #ARGV, 4 do
    local visit = ARGV[i] == "paced" and paced or counted
    visit(ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
  end
end

-- How far we are ahead of the even pace: never further than grants can bring us, lest a clock that was set back stop us.
local function ahead(seconds, interval, tolerance)
  local lead = (state["paced:" .. seconds] or 0) - now
  return math.max(0, math.min(lead, tolerance * 4 + interval * slowest))
end

local function used(seconds, piece)
  return state["used:" .. seconds .. ":" .. piece] or 0
end

local wait = (state.blocked or 0) - now

local function wait_for_pace(seconds, interval, tolerance)
  wait = math.max(wait, ahead(seconds, interval, tolerance) - tolerance)
end

-- The piece that has begun to drop out of the period counts as a whole: rather too few than too many.
local function wait_for_count(seconds, pieces, most)
  local length = seconds * 1000000 / pieces
  local oldest, count = math.floor(now / length) - pieces, 0
  for piece = oldest, oldest + pieces do
    count = count + used(seconds, piece)
  end
  if count < most then
    return
  end
  while count >= most do
    count = count - used(seconds, oldest)
    oldest = oldest + 1
  end
  wait = math.max(wait, (oldest + pieces) * length - now)
end

local function move_pace(seconds, interval, tolerance)
  redis.call("HSET", key, "paced:" .. seconds, now + ahead(seconds, interval, tolerance) + interval * slow)
end

local function drop_pieces_before(seconds, oldest)
  for field in pairs(state) do
    local piece = field:match("^used:" .. seconds .. ":(%d+)$")
    if piece and tonumber(piece) < oldest then
      redis.call("HDEL", key, field)
    end
  end
end

local function count_request(seconds, pieces)
  local piece = math.floor(now / (seconds * 1000000 / pieces))
  if redis.call("HINCRBY", key, "used:" .. seconds .. ":" .. piece, 1) == 1 then
    drop_pieces_before(seconds, piece - pieces)
  end
end

each_limit(wait_for_pace, wait_for_count)
if wait > 0 then
  return math.ceil(wait)
end
each_limit(move_pace, count_request)
if slow > 1 then
  redis.call("HSET", key, "slow", slow < 1.01 and 1 or 1 + (slow - 1) * RECOVERY)
end
redis.call("EXPIRE", key, KEPT)
return 0

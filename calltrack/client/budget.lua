-- Takes one request from an account's budget: from all of its limits, or from none. Returns the microseconds to
-- wait; 0: granted.
--
-- KEYS[1]  the account's budget, a hash; all times are microseconds, by the server's clock:
--   blocked         nothing is granted before this moment
--   pace            how fast we go, as a share of what is allowed: what refusals have taught us (refused.lua); as long
--                   as there was none, 1
--   paced:60        when the requests granted so far would be used up at an even pace (the limit of 60 seconds)
--   used:86400:491  how many requests were granted in the 491st piece of time (the limit of 86,400 seconds)
-- And after a refusal:
--   ceiling, calm   the pace that was too fast, and how many requests stay below it before a faster one is tried
--   patience        what `calm` was, without what the block cost: it doubles when the next try fails
--   base, climbed   the pace that held, and for how many periods we have been trying faster ones since
--   since, let      while the limit is being found out: from when on, and how many were granted since
--   begun, before, earlier    how much of the current period is over; the pace when it began, and one period before
--
-- ARGV[1]  the clock, in tests; "": the server's
-- ARGV[2]  the slowest paced limit: its period in microseconds; 0: none is paced
-- ARGV[3]  and what share of it one request takes at the even pace
-- ARGV     four for each limit: "paced", seconds, interval, tolerance: up to `tolerance` ahead of an even pace
--                           or: "counted", seconds, pieces, most: so many requests in the period, cut in so many pieces

local NEAR, REGAIN, TRY, FOUND, KEPT = 0.97, 0.15, 0.2, 1.2, 26 * 3600

local key, period, share = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call("TIME")
local now = tonumber(ARGV[1]) or time[1] * 1000000 + time[2]

local state, fields = {}, redis.call("HGETALL", key)
for i = 1, #fields, 2 do
  state[fields[i]] = tonumber(fields[i + 1])
end
local pace = state.pace or 1

local function each_limit(paced, counted)
  for i = 4, #ARGV, 4 do
    local visit = ARGV[i] == "paced" and paced or counted
    visit(ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
  end
end

-- How far we are ahead of the even pace: never further than grants can bring us, lest a clock that was set back stop us.
local function ahead(seconds, interval, tolerance)
  local lead = (state["paced:" .. seconds] or 0) - now
  return math.max(0, math.min(lead, tolerance * 4 + interval / pace))
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
  redis.call("HSET", key, "paced:" .. seconds, now + ahead(seconds, interval, tolerance) + interval / pace)
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

-- Counts what is let through in the period after a rest. If that is not refused, the limit is where it was.
local function measure()
  if now < state.since + period then
    redis.call("HINCRBY", key, "let", 1)
  else
    redis.call("HSET", key, "since", "")
  end
end

-- Regains quickly what is known to hold, stays there for a while, and then tries more: a little at first, and twice as
-- much with every period that goes well. `passed`: periods that this request takes.
local function go_faster(passed)
  local begun, before, earlier = state.begun + passed, state.before, state.earlier
  if begun >= 1 then
    begun, before, earlier = begun - 1, pace, before
  end
  local base, climbed, calm, patience = state.base, state.climbed, state.calm, state.patience
  if calm > 0 then
    calm = calm - 1
    base = math.max(pace, math.min(NEAR * state.ceiling, pace * (1 + REGAIN * passed)))
    pace = base
  else
    climbed = climbed + passed
    pace = math.min(1, base * (1 + TRY * (2 ^ climbed - 1)))
    patience = pace > FOUND * state.ceiling and 0 or patience
  end
  redis.call("HSET", key, "pace", pace, "base", base, "climbed", climbed, "calm", calm, "patience", patience,
    "begun", begun, "before", before, "earlier", earlier)
  if pace == 1 then
    redis.call("HDEL", key, "ceiling", "pace", "earlier")
  end
end

each_limit(wait_for_pace, wait_for_count)
if wait > 0 then
  return math.ceil(wait)
end
each_limit(move_pace, count_request)
if state.since then
  measure()
elseif state.ceiling and period > 0 then
  go_faster(share / pace)
end
redis.call("EXPIRE", key, KEPT)
return 0

-- Looks at some calls, for somebody who can load those that nobody has loaded.
-- A key holds "=GENERATION SHAPE CALL": the call; "~GENERATION SHAPE TOKEN": who has this token is loading it;
-- "-TOKEN": it is being written. Of another generation or shape: nothing.
-- Gives for each key: the call, "+" (load it, it is yours), "~" (somebody else does) or "-" (being written).

local books, token, shape, lease, counted = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = (redis.call('HGET', books, 'generation') or '') .. ' ' .. shape .. ' '
local held, leased = '=' .. now, '~' .. now
local answers, tally = {}, {hits = 0, misses = 0, waits = 0, fenced = 0}

local function note(name, answer)
    tally[name] = tally[name] + 1
    return answer
end

for place = 2, #KEYS do
    local value = redis.call('GET', KEYS[place]) or ''
    if value:sub(1, #held) == held then
        answers[place - 1] = note('hits', value:sub(#held + 1))
    elseif value:sub(1, 1) == '-' then
        answers[place - 1] = note('fenced', '-')
    elseif value:sub(1, #leased) == leased then
        answers[place - 1] = note('waits', '~')
    else
        redis.call('SET', KEYS[place], leased .. token, 'PX', lease)
        answers[place - 1] = note('misses', '+')
    end
end

if counted == '1' then
    for name, number in pairs(tally) do
        if number > 0 then
            redis.call('HINCRBY', books, name, number)
        end
    end
end
return answers

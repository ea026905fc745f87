-- Puts calls in their places, each only if its loader's lease still stands: whoever wrote the call meanwhile, or cleared
-- the cache, has ended it, and what was loaded may be older than that. An empty text gives the lease back.

local books, token, shape, lasts = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local now = (redis.call('HGET', books, 'generation') or '') .. ' ' .. shape .. ' '
local filled = 0

for place = 2, #KEYS do
    local key, call = KEYS[place], ARGV[place + 2]
    if redis.call('GET', key) == '~' .. now .. token then
        if call == '' then
            redis.call('DEL', key)
        else
            redis.call('SET', key, '=' .. now .. call, 'PX', lasts)
            filled = filled + 1
        end
    end
end
return filled

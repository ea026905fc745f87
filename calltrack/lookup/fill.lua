-- Puts calls in their places, each only where its loader's lease still stands: who changed the call meanwhile has ended
-- the lease, and what was loaded may be older than that. An empty text gives the lease back.

local lease, lasts = ARGV[1], ARGV[2]
local filled = 0

for place, key in ipairs(KEYS) do
    local call = ARGV[place + 2]
    if redis.call('GET', key) == lease then
        if call == '' then
            redis.call('DEL', key)
        else
            redis.call('SET', key, call, 'PX', lasts)
            filled = filled + 1
        end
    end
end
return filled

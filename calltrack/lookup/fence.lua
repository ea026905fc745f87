-- Puts a fence around calls that are about to be committed, in the place of whatever is there.

for _, key in ipairs(KEYS) do
    redis.call('SET', key, '-' .. ARGV[1], 'PX', ARGV[2])
end

# Inside of a container with Redis' volume as /data: how many keys its files have, and how many of them live for another
# quarter of an hour at least. By a server of its own, which nobody else reaches.
socket=/tmp/redis.sock
redis-server --port 0 --unixsocket $socket --dir /data --appendonly yes --save "" --daemonize yes --logfile /tmp/redis.log \
    --pidfile /tmp/redis.pid >/dev/null
ask() { redis-cli -s $socket "$@"; }
until [ "$(ask PING 2>/dev/null)" = PONG ]; do
    sleep 0.2
    kill -0 "$(cat /tmp/redis.pid 2>/dev/null)" 2>/dev/null || [ ! -e /tmp/redis.pid ] || { tail -n 2 /tmp/redis.log >&2; exit 1; }
done
ask DBSIZE
ask EVAL "
local cursor, found = '0', 0
repeat
    local page = redis.call('SCAN', cursor, 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
        local left = redis.call('PTTL', key)
        if left == -1 or left > 900000 then found = found + 1 end
    end
until cursor == '0'
return found" 0
ask SHUTDOWN NOSAVE >/dev/null 2>&1 || true
while kill -0 "$(cat /tmp/redis.pid 2>/dev/null)" 2>/dev/null; do sleep 0.1; done

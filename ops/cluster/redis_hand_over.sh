# Another server becomes the primary, within a few milliseconds and without losing a write. Runs in a member's container:
# between the moment when the old primary stops taking writes and the one when the sentinels know the new one, there is
# no time for a command from outside.
#
# NAME of the primary among the sentinels, IDENTITY of who does this, first EPOCH to try, OLD and NEW primary's hosts;
# then the other servers' hosts, `--`, and the sentinels as HOST=IDENTITY.
set -uo pipefail
name=$1 identity=$2 epoch=$3 old=$4 new=$5
shift 5
others=()
while [ "$1" != -- ]; do others+=("$1"); shift; done
shift
sentinels=("$@")
readonly PAUSE_MILLISECONDS=4000
REDISCLI_AUTH=$(</run/secrets/redis-admin-password)
export REDISCLI_AUTH

ask() {
    timeout 2 redis-cli --no-auth-warning --raw --user admin -h "$1" -p "$2" "${@:3}" 2>&1
}
# tell HOST COMMAND…: several commands over one connection.
tell() {
    printf '%s\n' "${@:2}" | ask "$1" 6379
}
# figure KEY INFO
figure() {
    tr -d '\r' <<<"$2" | sed -n "s/^$1://p"
}
role() {
    ask "$1" 6379 ROLE | head -1
}
milliseconds() {
    echo "${EPOCHREALTIME/[.,]/}" | sed 's/...$//'
}
give_up() {
    echo "$*" >&2
    exit 1
}

# The sentinels must elect who changes the primary, as they elect one of their own: an epoch has one winner, so nobody
# else can name another server at the same time, and they begin no failover for a while.
elected=''
for ((attempt = 0; attempt < 20; attempt++, epoch++)); do
    votes=$(
        for sentinel in "${sentinels[@]}"; do
            ask "${sentinel%=*}" 26379 SENTINEL IS-MASTER-DOWN-BY-ADDR "$old" 6379 "$epoch" "$identity" | tr '\n' ' ' &
            wait
            echo
        done
    )
    if (($(grep -c " $identity $epoch " <<<"$votes") > ${#sentinels[@]} / 2)); then
        elected=yes
        break
    fi
done
[ "$elected" ] || give_up "The sentinels did not vote for a change: $(tail -n +1 <<<"$votes" | tr '\n' ';')"

# The old primary takes no more writes, and sends nothing else to its replicas either. Redis' own FAILOVER would wait for
# the next report of the replica, which comes once a second; this asks the replica. Should we be stopped in here, the
# pause ends by itself and the old primary goes on.
period=$(ask "$old" 6379 CONFIG GET repl-ping-replica-period | tail -1)
began=$(milliseconds)
said=$(tell "$old" 'CONFIG SET repl-ping-replica-period 3600' "CLIENT PAUSE $PAUSE_MILLISECONDS WRITE" 'INFO replication')
offset=$(figure master_repl_offset "$said")
go_on() {
    tell "$old" 'CLIENT UNPAUSE' "CONFIG SET repl-ping-replica-period $period" >/dev/null
    give_up "$1; $old goes on as primary."
}
[ "$offset" ] || go_on "$old does not say how far it is"
until there=$(figure slave_repl_offset "$(ask "$new" 6379 INFO replication)") && [ "${there:-0}" -ge "$offset" ]; do
    (($(milliseconds) - began < PAUSE_MILLISECONDS / 4)) || go_on "$new has only ${there:-nothing} of $offset bytes"
done
ask "$new" 6379 REPLICAOF NO ONE >/dev/null
[ "$(role "$new")" = master ] || go_on "$new did not become a primary"

# Each sentinel hears of it as if from one of the others: from itself it would take no message.
tell "$old" "REPLICAOF $new 6379" 'CLIENT UNPAUSE' "CONFIG SET repl-ping-replica-period $period" >/dev/null &
for other in "${others[@]}"; do
    ask "$other" 6379 REPLICAOF "$new" 6379 >/dev/null &
done
count=${#sentinels[@]}
for ((at = 0; at < count; at++)); do
    teller=${sentinels[(at + 1) % count]}
    ask "${sentinels[at]%=*}" 26379 PUBLISH __sentinel__:hello \
        "${teller%=*},26379,${teller#*=},$epoch,$name,$new,6379,$epoch" >/dev/null &
done
wait
took=$(($(milliseconds) - began))

# Whoever was connected to the old one asks anew; it is a replica by now, and would refuse its writes.
ask "$old" 6379 CLIENT KILL TYPE normal >/dev/null &
ask "$old" 6379 CLIENT KILL TYPE pubsub >/dev/null &
wait
echo "$took"

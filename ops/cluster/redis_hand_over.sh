# Another server becomes the primary, within a few milliseconds and without losing a write. Runs in a member's container:
# between the moment when the old primary stops taking writes and the one when the sentinels know the new one, there is
# no time for a command from outside, nor for one that has to start first: every connection is open before.
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
readonly PAUSE_MILLISECONDS=4000 ANSWER_SECONDS=2
# So that lengths are in bytes.
LC_ALL=C
password=$(</run/secrets/redis-admin-password)
declare -A servers voters
answer=''

give_up() {
    echo "$*" >&2
    exit 1
}
# send CONNECTION WORD…: a command in Redis' protocol.
send() {
    local connection=$1 word message
    shift
    message="*$#"$'\r\n'
    for word in "$@"; do message+="\$${#word}"$'\r\n'"$word"$'\r\n'; done
    printf %s "$message" >&"$connection"
}
# receive CONNECTION: the next answer, in `answer`; an array's items on a line each. Fails on an error, or where none comes.
receive() {
    local line count items=()
    answer='no answer'
    IFS= read -r -t "$ANSWER_SECONDS" -u "$1" line || return
    line=${line%$'\r'}
    answer=${line#?}
    case $line in
    -*) return 1 ;;
    \$-*) answer='' ;;
    \$*)
        IFS= read -r -t "$ANSWER_SECONDS" -u "$1" -N "$((answer + 2))" answer || return
        answer=${answer%$'\r\n'}
        ;;
    \**)
        for ((count = answer; count > 0; count--)); do
            receive "$1" || return
            items+=("$answer")
        done
        printf -v answer '%s\n' "${items[@]}"
        ;;
    esac
}
ask() {
    send "$@" && receive "$1"
}
# connect HOST PORT: the connection, in `connection`.
connect() {
    { exec {connection}<>"/dev/tcp/$1/$2"; } 2>/dev/null || give_up "$1 cannot be reached."
    ask "$connection" AUTH admin "$password" || give_up "$1 refused to be asked: $answer."
}
# figure KEY: of the answer to INFO.
figure() {
    [[ $'\n'$answer == *$'\n'"$1:"* ]] || return
    local value=${answer##*"$1:"}
    echo "${value%%[$'\r\n']*}"
}
milliseconds() {
    local now=${EPOCHREALTIME/[.,]/}
    echo "${now%???}"
}

for host in "$old" "$new" "${others[@]}"; do
    connect "$host" 6379
    servers[$host]=$connection
done
for sentinel in "${sentinels[@]}"; do
    connect "${sentinel%=*}" 26379
    voters[$sentinel]=$connection
done

# The sentinels must elect who changes the primary, as they elect one of their own: an epoch has one winner, so nobody
# else can name another server at the same time, and they begin no failover for a while.
elected=''
for ((attempt = 0; attempt < 20; attempt++, epoch++)); do
    votes=0 said=''
    for sentinel in "${sentinels[@]}"; do
        send "${voters[$sentinel]}" SENTINEL IS-MASTER-DOWN-BY-ADDR "$old" 6379 "$epoch" "$identity"
    done
    for sentinel in "${sentinels[@]}"; do
        receive "${voters[$sentinel]}"
        said+=" ${answer//$'\n'/ };"
        # Down or not, for whom it votes, and in which epoch.
        [[ $answer != *$'\n'"$identity"$'\n'"$epoch"$'\n' ]] || ((votes += 1))
    done
    if ((votes > ${#sentinels[@]} / 2)); then
        elected=yes
        break
    fi
done
[ "$elected" ] || give_up "The sentinels did not vote for a change:$said"

# The old primary takes no more writes, and sends nothing else to its replicas either. Redis' own FAILOVER would wait for
# the next report of the replica, which comes once a second; this asks the replica. Should we be stopped in here, the
# pause ends by itself and the old primary goes on.
before=${servers[$old]} after=${servers[$new]}
ask "$before" CONFIG GET repl-ping-replica-period
period=${answer%$'\n'}
period=${period##*$'\n'}
began=$(milliseconds)
go_on() {
    ask "$before" CLIENT UNPAUSE
    ask "$before" CONFIG SET repl-ping-replica-period "$period"
    give_up "$1; $old goes on as primary."
}
ask "$before" CONFIG SET repl-ping-replica-period 3600 &&
    ask "$before" CLIENT PAUSE "$PAUSE_MILLISECONDS" WRITE &&
    ask "$before" INFO replication || go_on "$old was not to be paused: $answer"
offset=$(figure master_repl_offset) || go_on "$old does not say how far it is"
until ask "$after" INFO replication && there=$(figure slave_repl_offset) && ((there >= offset)); do
    (($(milliseconds) - began < PAUSE_MILLISECONDS / 4)) || go_on "$new has only ${there:-nothing} of $offset bytes"
done
ask "$after" REPLICAOF NO ONE
ask "$after" ROLE
[[ $answer == master$'\n'* ]] || go_on "$new did not become a primary"

# Each sentinel hears of it as if from one of the others: from itself it would take no message.
count=${#sentinels[@]}
for ((at = 0; at < count; at++)); do
    teller=${sentinels[(at + 1) % count]}
    send "${voters[${sentinels[at]}]}" PUBLISH __sentinel__:hello \
        "${teller%=*},26379,${teller#*=},$epoch,$name,$new,6379,$epoch"
done
send "$before" REPLICAOF "$new" 6379
send "$before" CLIENT UNPAUSE
send "$before" CONFIG SET repl-ping-replica-period "$period"
for other in "${others[@]}"; do send "${servers[$other]}" REPLICAOF "$new" 6379; done
for sentinel in "${sentinels[@]}"; do receive "${voters[$sentinel]}"; done
took=$(($(milliseconds) - began))

# Whoever was connected to the old one asks anew; it is a replica by now, and would refuse its writes.
send "$before" CLIENT KILL TYPE normal
send "$before" CLIENT KILL TYPE pubsub
for _ in replicaof unpause period normal pubsub; do receive "$before"; done
for other in "${others[@]}"; do receive "${servers[$other]}"; done
echo "$took"

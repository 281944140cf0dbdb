# What both entrypoints share: how to ask a server, and how to say something. Sourced, after MEMBER and the rest are set.

secrets=/run/secrets

log() {
    printf '%s %s: %s\n' "$(date -u +%H:%M:%S.%3N)" "$MEMBER" "$*"
}

# ask HOST PORT COMMAND...: a server's answer, or nothing within a second. The user may read figures and roles alone.
# The password goes through the environment of this short process, never onto a command line.
ask() {
    local host=$1 port=$2
    shift 2
    REDISCLI_AUTH=$(<"$secrets/redis-exporter-password") \
        timeout 1 redis-cli --no-auth-warning --raw --user "$MONITORING_USER" -h "$host" -p "$port" "$@" 2>/dev/null
}

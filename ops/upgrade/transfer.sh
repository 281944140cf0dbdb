# Steps of a transfer, run inside of a container that has the volume as /data: `STEP ARGUMENT...`. Not a program of its own.
meeting=/data/upgrading
export PGHOST=$meeting PGUSER=postgres PGOPTIONS='-c lock_timeout=0 -c statement_timeout=0'

databases() { # PORT
    psql -XAtq --port="$1" --dbname=postgres \
        --command="SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
}

into() { # DATABASE: what comes by stdin
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --port=5433 --dbname="$1" >/dev/null
}

meet() { # where the two servers find each other
    mkdir -p -m 0700 $meeting
    printf 'local all all trust\n' >$meeting/pg_hba.conf
}

part() {
    rm -rf $meeting
}

start() { # FOLDER PORT MORE: production settings are Swarm's, and nothing of them is needed here
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$meeting'" "hba_file = '$meeting/pg_hba.conf'" \
        'shared_buffers = 64MB' 'maintenance_work_mem = 64MB' 'max_wal_size = 1GB' 'archive_mode = off' 'autovacuum = off' \
        'dynamic_shared_memory_type = mmap' 'jit = off' "timezone = 'UTC'" "log_timezone = 'UTC'" "$3" >"$meeting/$2.conf"
    pg_ctl start --silent --wait --timeout=3600 --pgdata="$1" --log="$meeting/$2.log" \
        --options="-c config_file=$meeting/$2.conf -c port=$2" || { tail -n 3 "$meeting/$2.log" >&2; exit 1; }
}

stop() { # FOLDER MODE
    [ ! -e "$1/postmaster.pid" ] || pg_ctl stop --silent --wait --timeout=600 --mode="$2" --pgdata="$1"
}

make() { # FOLDER: an empty one, made as the image's entrypoint makes it; roles come with the rows
    rm -rf "$1"
    head -c 32 /dev/urandom | base64 >/tmp/password
    initdb --pgdata="$1" --username=postgres --pwfile=/tmp/password --auth-local=peer --auth-host=scram-sha-256 \
        --data-checksums --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
}

copy() { # each database but the one that is there anyway is made by its own dump, with its owner, grants and settings
    local database
    pg_dumpall --port=5432 --globals-only | { grep -v '^CREATE ROLE postgres;$' || true; } | into postgres
    for database in $(databases 5432); do
        if [ "$database" = postgres ]; then
            pg_dump --port=5432 "$database" | into postgres
        else
            pg_dump --port=5432 --create "$database" | into template1
        fi
    done
    vacuumdb --port=5433 --all --analyze-only --quiet
}

# What the databases are, but their rows, in the words of one program: columns, indexes, constraints, owners, grants.
shape() { # PORT
    # What it says of the servers' versions, and its one-time key, differs by nature. A membership says who gave it since 16.
    pg_dumpall --port="$1" --schema-only | grep -v -e '^-- Dumped ' -e '^.restrict ' -e '^.unrestrict ' |
        sed 's/^\(GRANT [^;]* TO [^;]*\) WITH INHERIT TRUE GRANTED BY postgres;$/\1;/'
}

# A line for each table: how many rows, and a sum over the digests of all, which no order changes. And where sequences are.
rows() { # PORT
    local database
    for database in $(databases "$1"); do
        psql -XAtq --set=ON_ERROR_STOP=1 --port="$1" --dbname="$database" <<'SQL'
SELECT format('SELECT json_build_object(''database'', current_database(), ''table'', %L, ''rows'', count(*), '
    '''digest'', coalesce(sum((''x'' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0)::text) FROM %I.%I t',
    format('%I.%I', schemaname, tablename), schemaname, tablename)
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY schemaname, tablename
\gexec
SELECT json_build_object('database', current_database(), 'sequence', format('%I.%I', schemaname, sequencename),
    'digest', last_value) FROM pg_sequences ORDER BY schemaname, sequencename;
SQL
    done
}

finish() { # UNFINISHED FOLDER: on the disk first, then under its name
    initdb --sync-only --pgdata="$1" >/dev/null
    rm -rf "$2"
    mv "$1" "$2"
    sync "$2" /data
}

"$@"

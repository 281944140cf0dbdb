-- The roles of a cluster, in two generations, so that members and clients can change over from one password to the next
-- one after the other; safe to run any number of times, after roles.sql. $LETTER names the generation of the secrets.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

\set letter `echo "$LETTER"`
\set app 'pidea_app_' :letter
\set standby 'pidea_standby_' :letter
\set rewind 'pidea_rewind_' :letter
\set app_verifier `scram-verifier /run/secrets/postgres-app-password`
\set standby_verifier `scram-verifier /run/secrets/postgres-standby-password`
\set rewind_verifier `scram-verifier /run/secrets/postgres-rewind-password`

SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['pidea_app_a', 'pidea_app_b', 'pidea_standby_a', 'pidea_standby_b', 'pidea_rewind_a', 'pidea_rewind_b']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE :"app" LOGIN PASSWORD :'app_verifier';
ALTER ROLE :"standby" LOGIN PASSWORD :'standby_verifier';
ALTER ROLE :"rewind" LOGIN PASSWORD :'rewind_verifier';
ALTER ROLE pidea_app PASSWORD :'app_verifier';

-- Whichever logs in, it is pidea_app that owns what it makes.
GRANT pidea_app TO pidea_app_a, pidea_app_b;
ALTER ROLE pidea_app_a SET role = 'pidea_app';
ALTER ROLE pidea_app_b SET role = 'pidea_app';
ALTER ROLE pidea_standby_a REPLICATION;
ALTER ROLE pidea_standby_b REPLICATION;

-- What pg_rewind reads from the primary.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO pidea_rewind_a, pidea_rewind_b;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO pidea_rewind_a, pidea_rewind_b;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO pidea_rewind_a, pidea_rewind_b;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO pidea_rewind_a, pidea_rewind_b;

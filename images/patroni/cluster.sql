-- The roles by which members of the cluster know each other; safe to run any number of times, after roles.sql.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

\set standby_password `cat /run/secrets/postgres-standby-password`
\set rewind_password `cat /run/secrets/postgres-rewind-password`

SELECT 'CREATE ROLE pidea_standby' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pidea_standby') \gexec
SELECT 'CREATE ROLE pidea_rewind' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pidea_rewind') \gexec

ALTER ROLE pidea_standby LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION PASSWORD :'standby_password';
ALTER ROLE pidea_rewind LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'rewind_password';

-- What pg_rewind reads from the primary.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO pidea_rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO pidea_rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO pidea_rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO pidea_rewind;

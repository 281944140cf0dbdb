-- Roles and databases of PIDEA; safe to run any number of times. psql reads the passwords from the secrets' files, so
-- that they appear neither on a command line nor in the server's log.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

\set superuser_password `cat /run/secrets/postgres-superuser-password`
\set app_password `cat /run/secrets/postgres-app-password`
\set exporter_password `cat /run/secrets/postgres-exporter-password`
\set backup_password `cat /run/secrets/postgres-backup-password`

SELECT 'CREATE ROLE pidea_app LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pidea_app') \gexec
SELECT 'CREATE ROLE pidea_exporter LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pidea_exporter') \gexec
SELECT 'CREATE ROLE pidea_backup LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pidea_backup') \gexec

ALTER ROLE postgres PASSWORD :'superuser_password';
ALTER ROLE pidea_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
ALTER ROLE pidea_exporter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5 PASSWORD :'exporter_password';
GRANT pg_monitor TO pidea_exporter;
-- Copies files and WAL, and reads the tables to know what a copy must have in it; writes nothing.
ALTER ROLE pidea_backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION CONNECTION LIMIT 8 PASSWORD :'backup_password';
GRANT pg_read_all_data TO pidea_backup;

SELECT 'CREATE DATABASE pidea OWNER pidea_app' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'pidea') \gexec
REVOKE ALL ON DATABASE pidea FROM PUBLIC;
GRANT CONNECT ON DATABASE pidea TO pidea_exporter, pidea_backup;

"""PostgreSQL runs with the configuration and the roles that the plan gives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra import names
from tests.stack import containers
from tests.stack.instance import Instance

Query = Callable[[str], str]


@pytest.fixture
def query(stack: Instance) -> Query:
    """Runs SQL inside the container as the superuser, who needs no password there; gives unaligned rows."""
    container = containers.one(stack, names.POSTGRES)

    def run(sql: str) -> str:
        command = "psql --no-psqlrc --no-align --tuples-only --username=postgres --dbname=%s --command=%s"
        return str(container.inside.check_output(command, names.POSTGRES_DATABASE, sql))

    return run


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_version_num", "15"),
        ("shared_buffers", "128MB"),
        ("max_connections", "100"),
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("config_file", "/etc/pidea/postgresql.conf"),
        ("hba_file", "/etc/pidea/pg_hba.conf"),
        ("dynamic_shared_memory_type", "mmap"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("fsync", "on"),
        ("TimeZone", "UTC"),
    ],
)
def test_configuration_is_loaded(query: Query, name: str, value: str) -> None:
    assert query(f"SHOW {name}")[: len(value)] == value


def test_no_setting_waits_for_a_restart_or_is_wrong(query: Query) -> None:
    assert query("SELECT count(*) FROM pg_settings WHERE pending_restart") == "0"
    assert query("SELECT name FROM pg_file_settings WHERE error IS NOT NULL") == ""


def test_logins_are_those_of_the_plan(query: Query) -> None:
    assert query("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"
    rules = query("SELECT type, user_name[1], auth_method FROM pg_hba_file_rules ORDER BY line_number").splitlines()
    assert rules == [
        "local|postgres|peer",
        f"host|{names.POSTGRES_APP_USERNAME}|scram-sha-256",
        f"host|{names.POSTGRES_EXPORTER_USERNAME}|scram-sha-256",
        f"host|{names.POSTGRES_BACKUP_USERNAME}|scram-sha-256",
    ]


def test_roles_have_the_least_that_they_need(query: Query) -> None:
    rows = query(
        "SELECT rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
        " FROM pg_roles WHERE rolcanlogin ORDER BY rolname"
    )
    assert rows.splitlines() == [
        f"{names.POSTGRES_APP_USERNAME}|f",
        # It copies files and WAL.
        f"{names.POSTGRES_BACKUP_USERNAME}|t",
        f"{names.POSTGRES_EXPORTER_USERNAME}|f",
        "postgres|t",
    ]
    stored = query("SELECT DISTINCT split_part(rolpassword, '$', 1) FROM pg_authid WHERE rolcanlogin")
    assert stored == "SCRAM-SHA-256"


def test_the_schema_is_there_and_the_exporter_may_not_read_chats(query: Query) -> None:
    assert query("SELECT count(*) FROM pg_tables WHERE tablename IN ('chats', 'messages')") == "2"
    assert query(f"SELECT has_table_privilege('{names.POSTGRES_EXPORTER_USERNAME}', 'messages', 'SELECT')") == "f"

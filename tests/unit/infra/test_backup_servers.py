"""Servers that keep backups: what of the settings is refused, and what the plan makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra import names
from infra.errors import SettingsError
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan, SecretForm
from ops.backup.location import Location, options_of_both
from ops.backup.settings import Settings
from ops.stack import rehearsal
from tests.stack import certificates
from tests.unit.infra.conftest import read_config
from tests.unit.infra.recording import Secret, record

CA = certificates.authority("of the tests").pem.decode()
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJGmQ5gYV0vVqFJ8oFP3wP6qVvJc0wZb1fCwpo0b7uV"
REST = {"kind": "rest", "url": "https://backups.invalid:8000/stack", "username": "pidea", "caCertificate": CA}
S3 = {"kind": "s3", "url": "https://s3.invalid", "bucket": "backups", "prefix": "a/b", "accessKeyId": "AKIA1"}
SFTP = {"kind": "sftp", "host": "nas.invalid", "username": "pidea", "path": "/srv/stack", "hostKey": HOST_KEY}
LOGINS = {
    "pidea:backup-repository-login": "password-of-the-server",
    "pidea:backup-offsite-login": "key-of-the-store",
}


def config(**backup: Any) -> dict[str, Any]:
    return {**read_config("staging"), "pidea:backup": backup}


def plan_of(**backup: Any) -> DeploymentPlan:
    return build_plan(StackSettings.from_config(config(**backup)))


def service_of(plan: DeploymentPlan) -> Any:
    return next(service for service in plan.services if service.name == names.BACKUP)


@pytest.mark.parametrize(
    ("backup", "problem"),
    [
        ({"repository": {**REST, "url": "http://backups.invalid/"}}, r"repository.rest.url: "),
        ({"repository": {**REST, "url": "https://pidea:secret@backups.invalid/"}}, r"repository.rest.url: "),
        ({"repository": {**REST, "username": ""}}, r"repository.rest.username: "),
        (
            {"repository": {**REST, "caCertificate": "trust me"}},
            r"rest.caCertificate: must be a certificate in PEM form",
        ),
        ({"repository": {"kind": "rest", "username": "pidea"}}, r"repository.rest.url: must be set"),
        ({"repository": {**S3, "bucket": "Backups"}}, r"repository.s3.bucket: "),
        ({"repository": {**S3, "secretAccessKey": "x"}}, r"repository.s3.secretAccessKey: there is no such key"),
        ({"repository": {**SFTP, "path": "stack"}}, r"repository.sftp.path: "),
        ({"repository": {**SFTP, "hostKey": "AAAA"}}, r"sftp.hostKey: must be the server's public key"),
        ({"repository": {**SFTP, "port": 0}}, r"repository.sftp.port: "),
        ({"repository": {"kind": "ftp"}}, r"pidea:backup.repository: .*'rest', 's3', 'sftp'"),
        ({"repository": REST, "offsite": REST}, r"pidea:backup: offsite must be another place than repository"),
        ({"repository": S3, "offsite": {**S3, "bucket": "other"}}, r"must not both be s3"),
        ({"offsiteSchedule": "hourly"}, r"pidea:backup.offsiteSchedule: must have 5 fields"),
    ],
)
def test_what_is_no_server_is_named(backup: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        StackSettings.from_config(config(**backup))


@pytest.mark.parametrize("key", sorted(LOGINS))
def test_a_login_without_its_server_is_a_mistake(key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}: there is no server to log in to"):
        StackSettings.from_config({**config(), key: {"secure": "v1:…"}})


def test_a_login_that_is_missing_or_in_plain_stops_the_program() -> None:
    with pytest.raises(SettingsError, match=r"backup-repository-login: must be set to the server's secret"):
        record(config(repository=REST))


def test_backups_in_the_volume_leave_the_stack_as_it_was() -> None:
    plan = plan_of()
    assert names.EGRESS not in service_of(plan).networks
    assert not [secret for secret in plan.secrets if secret.form is SecretForm.SERVER_LOGIN]
    assert service_of(plan).env["REPOSITORY"] == "/data/repository"


def test_the_service_alone_gets_a_way_out_and_what_it_is_let_in_with() -> None:
    plan = plan_of(repository=REST, offsite=SFTP)
    for service in plan.services:
        its = {mount.secret for mount in service.secrets if mount.secret.endswith("-login")}
        expected = (
            {names.BACKUP_REPOSITORY_LOGIN, names.BACKUP_OFFSITE_LOGIN} if service.name == names.BACKUP else set()
        )
        assert its == expected, service.name
        assert (names.EGRESS in service.networks) == (service.name == names.BACKUP), service.name
    trust = {config.name: config.content for config in plan.configs if config.name.endswith("-trust")}
    assert trust == {"backup-repository-trust": CA, "backup-offsite-trust": f"nas.invalid {HOST_KEY}\n"}


def test_the_secrets_are_in_no_name_and_no_variable() -> None:
    recording = record({**config(repository=REST, offsite=S3), **LOGINS})
    secrets = {n: r for n, r in recording.of("docker:index/secret:Secret").items() if "-login-" in n}
    assert len(secrets) == 2
    for item in secrets.values():
        assert isinstance(item.inputs["data"], Secret)
        assert len(item.inputs["name"]) <= 64
    shown = str([{k: v for k, v in item.inputs.items() if k != "data"} for item in recording.resources])
    assert not [login for login in LOGINS.values() if login in shown]


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (REST, "rest:https://backups.invalid:8000/stack/"),
        (S3, "s3:https://s3.invalid/backups/a/b"),
        (SFTP, "sftp://pidea@nas.invalid:22//srv/stack"),
        ({**SFTP, "port": 2222}, "sftp://pidea@nas.invalid:2222//srv/stack"),
    ],
)
def test_a_server_in_the_words_of_restic(server: dict[str, Any], url: str, tmp_path: Path) -> None:
    settings = Settings.from_environment({**service_of(plan_of(repository=server)).env, "DATA": str(tmp_path)})
    assert settings.repository.url == url
    assert settings.repository.kind == server["kind"]
    assert settings.offsite is None


def test_what_is_secret_is_in_restics_environment_alone(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("p/ss@word\n")
    rest = Location(url="rest:https://h/x/", username="u", login_file=login, trust_file=tmp_path / "ca")
    assert rest.with_login() == "rest:https://u:p%2Fss%40word@h/x/"
    assert rest.options() == ["--cacert", str(tmp_path / "ca")]
    s3 = Location(url="s3:https://h/b", username="id", login_file=login, region="r")
    assert s3.environment()["AWS_SECRET_ACCESS_KEY"] == "p/ss@word"
    assert s3.options() == []
    sftp = Location(url="sftp://u@h:2222//p", username="u", login_file=login, trust_file=tmp_path / "hosts")
    assert "p/ss@word" not in str(sftp.options())
    assert "StrictHostKeyChecking=yes" in sftp.options()[1]
    # Two servers in one command: one known by an authority of its own, the other by Debian's.
    assert options_of_both(rest, s3)[2:] == ["--cacert", "/etc/ssl/certs/ca-certificates.crt"]


def test_a_copy_of_the_environment_keeps_its_backups_to_itself() -> None:
    copied = rehearsal.of({**config(repository=REST, keepDaily=3), **LOGINS})
    assert copied["pidea:backup"] == {"keepDaily": 3}
    assert not [key for key in copied if key.endswith("-login")]

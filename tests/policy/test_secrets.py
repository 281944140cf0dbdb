"""Rules about secrets: where they must not be, and how they are mounted."""

from __future__ import annotations

import base64
import copy
import hashlib
import random
import string
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi_policy.deserialize import deserialize_properties, serialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from infra.plan import build_plan
from infra.settings import StackSettings
from policies.model import Status
from policies.rules.secrets import RULES
from policies.view import CONFIG, CONTAINER, NETWORK, SERVICE, VOLUME
from tests.policy.fixtures import SOUND, asked, changed, messages, view

BY_ID = {rule.id: rule for rule in RULES}
PLAIN, MOUNTED = BY_ID["no-secrets-in-plain-sight"], BY_ID["secrets-mounted-strictly"]
REPOSITORY = Path(__file__).resolve().parents[2]
BY_NAME = "has what its name says is a secret in"
RANDOM = "has a word that looks as random as a key in"
# Put together here, so that nobody who searches the repository for secrets takes them for real.
KEY = "-----BEGIN " + "{}PRIVATE KEY" + "-----\nMIIB\n-----END {}PRIVATE KEY-----\n"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".c2ln"
BASE64 = "qX7fT2zLw9Kc4VbN8mRd" + "J3hYp6Us"
HEX = "3f9a0c7be1d24856" + "a7c3f01e9b6d2854"
FORMS = {
    "a private key": [
        KEY.format("", ""),
        KEY.format("RSA ", "RSA "),
        KEY.format("OPENSSH ", "OPENSSH "),
        "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----",
    ],
    "an AWS access key": ["AKIA" + "ABCDEFGHIJKLMNO2", "ASIA" + "ABCDEFGHIJKLMNO2"],
    "a GitHub token": [f"gh{kind}_" + "aB3" * 12 for kind in "opsur"] + ["github_pat_" + "a1" * 11],
    "a GitLab token": ["glpat-" + "a-1_" * 5],
    "a Slack token": [f"xox{kind}-" + "12345-aBcd" for kind in "abeoprs"],
    "a Google API key": ["AIza" + "aB_-1" * 7],
    "a Stripe key": ["sk_live_" + "aB1c" * 4, "rk_live_" + "aB1c" * 4],
    "a Pulumi access token": ["pul-" + "0123456789" * 4],
    "a Swarm join token or key": ["SWMTKN-1-" + "a1b2c" * 5, "SWMKEY-1-" + "a/+-b" * 5],
    "a JSON web token": [JWT],
    "a URL with a password": [
        "redis://app:hunter2@redis:6379",
        "redis://:hunter2@redis",
        "https://a.b:x$y@example.org/z",
    ],
    "an HAProxy user's password": ["user operator insecure-password hunter2", "  user a\tpassword  $5$x"],
    "a Redis user's password": ["user app on >hunter2 ~*", "\tuser\tapp on resetchannels >x"],
}


def said(resource: Any, type_: str = SERVICE) -> list[str]:
    """What the rule about plain sight says; only violations."""
    found = asked(PLAIN, view(resource, type=type_))
    assert {finding.status for finding in found} <= {Status.VIOLATION}
    return messages(found)


def with_env(**env: Any) -> dict[str, Any]:
    return changed("taskSpec.containerSpec.env", env)


def config(text: str) -> dict[str, Any]:
    return {"name": "x", "data": base64.b64encode(text.encode()).decode()}


def in_text(text: str) -> list[str]:
    """What is found in a text that nothing names."""
    return said(config(text), CONFIG)


def test_there_are_these_rules() -> None:
    assert {rule.id: (rule.types, rule.severity.value) for rule in RULES} == {
        "no-secrets-in-plain-sight": ((SERVICE, CONFIG, CONTAINER, NETWORK, VOLUME), "critical"),
        "secrets-mounted-strictly": ((SERVICE,), "high"),
    }
    assert PLAIN.repair is None


# no-secrets-in-plain-sight: where


def test_a_sound_service_passes() -> None:
    assert asked(PLAIN, view(SOUND)) == []
    assert asked(MOUNTED, view(SOUND)) == []


@pytest.mark.parametrize("type_", PLAIN.types)
def test_nothing_at_all_passes(type_: str) -> None:
    assert said({}, type_) == []


CONTAINER_SPEC = "taskSpec.containerSpec"


@pytest.mark.parametrize(
    ("type_", "props", "where"),
    [
        (SERVICE, changed("labels.0", {"label": "api-key", "value": "hunter2"}), "labels.api-key"),
        (
            SERVICE,
            changed(f"{CONTAINER_SPEC}.labels.1", {"label": "token", "value": "hunter2"}),
            f"{CONTAINER_SPEC}.labels.token",
        ),
        (SERVICE, changed(f"{CONTAINER_SPEC}.commands", ["x", "--password=hunter2"]), f"{CONTAINER_SPEC}.commands[1]"),
        (SERVICE, changed(f"{CONTAINER_SPEC}.args", ["--token", "hunter2"]), f"{CONTAINER_SPEC}.args[1]"),
        (
            SERVICE,
            changed(f"{CONTAINER_SPEC}.healthcheck.tests", ["CMD-SHELL", "REDISCLI_AUTH=hunter2 redis-cli PING"]),
            f"{CONTAINER_SPEC}.healthcheck.tests[1]",
        ),
        (
            SERVICE,
            changed("taskSpec.logDriver.options", {"splunk-token": "hunter2"}),
            "taskSpec.logDriver.options.splunk-token",
        ),
        (
            SERVICE,
            changed(f"{CONTAINER_SPEC}.mounts.1.volumeOptions", {"driverOptions": {"o": "user=x,password=hunter2"}}),
            f"{CONTAINER_SPEC}.mounts[1].volumeOptions.driverOptions.o",
        ),
        (SERVICE, with_env(DB_PASSWORD="hunter2"), f"{CONTAINER_SPEC}.env.DB_PASSWORD"),
        (CONFIG, config("password=hunter2"), "data"),
        (CONFIG, {"dataRaw": "password=hunter2"}, "dataRaw"),
        (CONFIG, {"labels": [{"label": "token", "value": "hunter2"}]}, "labels.token"),
        (CONTAINER, {"labels": [{"label": "token", "value": "hunter2"}]}, "labels.token"),
        (CONTAINER, {"entrypoints": ["--token", "hunter2"]}, "entrypoints[1]"),
        (CONTAINER, {"command": ["--token", "hunter2"]}, "command[1]"),
        (CONTAINER, {"healthcheck": {"tests": ["CMD", "--token", "hunter2"]}}, "healthcheck.tests[2]"),
        (CONTAINER, {"logOpts": {"splunk-token": "hunter2"}}, "logOpts.splunk-token"),
        (CONTAINER, {"uploads": [{"file": "/x"}, {"content": "password: hunter2"}]}, "uploads[1].content"),
        (CONTAINER, {"envs": ["A=b", "DB_PASSWORD=hunter2"]}, "envs.DB_PASSWORD"),
        (CONTAINER, {"envs": ["A=b", "DB_PASSWORD=a=b"]}, "envs.DB_PASSWORD"),
        (NETWORK, {"labels": [{"label": "token", "value": "hunter2"}]}, "labels.token"),
        (NETWORK, {"options": {"token": "hunter2"}}, "options.token"),
        (VOLUME, {"labels": [{"label": "token", "value": "hunter2"}]}, "labels.token"),
        (VOLUME, {"driverOpts": {"o": "username=x,password=hunter2"}}, "driverOpts.o"),
    ],
)
def test_every_place_is_searched(type_: str, props: Any, where: str) -> None:
    assert said(props, type_) == [f"{BY_NAME} {where}"]


def test_a_variable_without_a_name_is_not_said() -> None:
    assert said({"envs": ["A=b", BASE64]}, CONTAINER) == [f"{RANDOM} envs[1]"]


def test_lines_are_named_once_each_and_in_order() -> None:
    text = f"a\ntoken: hunter2 {BASE64}\nb\n{JWT}\n"
    expected = [f"{BY_NAME} line 2 of data", "has a JSON web token in line 4 of data"]
    assert in_text(text) == expected
    assert in_text(f"{JWT}\n") == ["has a JSON web token in data"]


def test_a_certificate_is_public_and_does_not_move_the_lines_after_it() -> None:
    body = "\n".join([BASE64 * 2] * 3)
    for kind in ("CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY", "TRUSTED CERTIFICATE"):
        public = f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"
        assert in_text(public) == []
        assert in_text(f"{public}token: hunter2\n{public}") == [f"{BY_NAME} line 6 of data"]


@pytest.mark.parametrize("kind", FORMS)
def test_no_message_has_the_secret(kind: str) -> None:
    for value in FORMS[kind]:
        resources = [
            (SERVICE, with_env(A=value, DB_PASSWORD=value)),
            (SERVICE, changed("taskSpec.containerSpec.args", ["--password", value, f"--token={value}"])),
            (CONFIG, config(f"password: {value}\n{value}\n")),
            (CONTAINER, {"envs": [value, f"DB_PASSWORD={value}"]}),
        ]
        for type_, props in resources:
            found = said(props, type_)
            assert found
            assert value.strip() not in " ".join(found)
            assert "hunter2" not in " ".join(found)


def test_what_is_known_is_judged_before_what_is_not() -> None:
    props = changed("taskSpec.containerSpec.args", ["--token=hunter2"], base=with_env(DB_PASSWORD=UNKNOWN_STRING_VALUE))
    assert [(finding.status, finding.message) for finding in asked(PLAIN, view(props))] == [
        (Status.VIOLATION, f"{BY_NAME} taskSpec.containerSpec.args[0]"),
        (
            Status.UNKNOWN,
            "cannot be judged until deployed: taskSpec.containerSpec.env.DB_PASSWORD is not known yet",
        ),
    ]


def test_a_config_that_is_not_known_yet_or_cannot_be_read() -> None:
    (finding,) = asked(PLAIN, view({"data": UNKNOWN_STRING_VALUE}, type=CONFIG))
    assert (finding.status, finding.message) == (
        Status.UNKNOWN,
        "cannot be judged until deployed: data is not known yet",
    )
    assert said({"data": "no base64"}, CONFIG) == ["cannot be read: data is not base64 of a text"]


# no-secrets-in-plain-sight: by name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PASSWORD",
            "DB_PASSWORD",
            "PGPASSWORD",
            "dbPassword",
            "redis.passwd",
            "PASSPHRASE",
            "SECRET",
            "CLIENT_SECRET",
        ),
        *("AWS_CREDENTIALS", "DB_PASS", "PASS_1", "DB_PWD", "USER_PW", "API_TOKEN", "TOKENS", "token", "REDISCLI_AUTH"),
        *("API_KEY", "apiKey", "APIKey", "APIKEY", "ACCESS_KEY", "private-key", "SIGNING_KEY", "ENCRYPTION_KEY"),
        *("ACCOUNT_KEY", "LICENSE_KEY", "SECRET_KEY_BASE", "requirepass", "masterauth", "PASSWORD_2"),
    ],
)
def test_names_that_say_secret(name: str) -> None:
    assert said(with_env(**{name: "hunter2"})) == [f"{BY_NAME} taskSpec.containerSpec.env.{name}"]


@pytest.mark.parametrize(
    "name",
    [
        *("A", "_", "COMPASS", "PASSENGERS", "TOKENIZER", "BYPASS", "PUBLIC_KEY", "KEYS", "AUTHOR", "CLI_AUTH_MODE"),
        *("PASSWORD_FILE", "PASSWORD_FOLDER", "SECRET_PATH", "SECRETS_DIR", "SECRETS_DIRECTORY", "TOKEN_ENDPOINT"),
        *("TOKEN_URL", "SECRET_NAME", "TOKEN_USER", "TOKEN_USERNAME", "ACCESS_KEY_ID", "secretsVersion", "TOKEN_TYPE"),
        *("PASSWORD_ALGORITHM", "password_encryption", "TOKEN_METHOD", "PASSWORD_POLICY", "TOKEN_ENABLED"),
        *("PASSWORD_REQUIRED", "TOKEN_COUNT", "PASSWORD_LENGTH", "TOKEN_LIMIT", "TOKEN_TTL", "TOKEN_SECONDS"),
        *("TOKEN_MINUTES", "TOKEN_HOURS", "PASSWORD_DAYS", "MAX_TOKENS", "minPasswordAge"),
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert said(with_env(**{name: "hunter2"})) == []


@pytest.mark.parametrize(
    "value",
    [
        *("", "  ", '""', "''", "***", "-", "true", "False", "yes", "no", "on", "off", "none", "NULL"),
        *("/run/secrets/x", "/run/secrets/a-b_c.d/e", "'/run/secrets/x'", " /run/secrets/x "),
        *("$PASSWORD", "${PASSWORD}", "$(cat /run/secrets/x)", '{{ secret "x" }}', "{{.X}}"),
    ],
)
def test_values_that_are_none_or_say_where_it_is(value: str) -> None:
    assert said(with_env(DB_PASSWORD=value)) == []


@pytest.mark.parametrize(
    "value",
    [
        *("x", "0", "12345", "$ecret!", "true story", "/etc/password", "/run/secrets/", "/run/secrets/x y"),
        *("x/run/secrets/x", "${PASSWORD:-hunter2}", "$(echo hunter2)", "{{ x", "nothing", "'x'"),
    ],
)
def test_values_that_may_be_it(value: str) -> None:
    assert said(with_env(DB_PASSWORD=value)) == [f"{BY_NAME} taskSpec.containerSpec.env.DB_PASSWORD"]


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "password = hunter2",
        "password: hunter2",
        "password:\thunter2",
        '  "password" : "hunter2",',
        "'password': 'hunter2'",
        "db.password='hun ter2'",
        'password = "hunter2"',
        "x?sslmode=disable&password=hunter2",
        "url=host?password=hunter2",
        "A=b;API_KEY=hunter2",
        "x --password hunter2",
        "--api-key\thunter2",
        "--password=hunter2",
        "requirepass hunter2",
        "masterauth hunter2",
        "test $(REDISCLI_AUTH=hunter2 redis-cli PING)",
        "PASSWORD=$(echo hunter2)",
        "PASSWORD=${A:-hunter2} x",
    ],
)
def test_names_and_values_within_a_text(text: str) -> None:
    assert in_text(text) == [f"{BY_NAME} data"]
    assert said({"command": ["sh", "-c", text]}, CONTAINER) == [f"{BY_NAME} command[2]"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# The password ends here.",
        "password",
        "password:",
        "password:\nusername: x",
        "password_encryption = 'scram-sha-256'",
        "password_file: /etc/x",
        "password: ${PASSWORD}",
        'password: {{ secret "x y" }}',
        "password: ''",
        "if password == x",
        "--password --verbose",
        "--password-file /x",
        "--no-auth-warning --user exporter",
        "norequirepass x",
        "PASSWORD=$(cat /run/secrets/x) run --user y",
        "x=$(REDISCLI_AUTH=$(cat /run/secrets/x) redis-cli PING)",
        "user app on ~* +@all",
        "users wait > 5 s",
        "http://localhost:3001/prometheus/",
        "redis://app:${PASSWORD}@redis",
        "redis://app:@redis",
        "redis://redis:6379/x@y",
        "a@b.c: d@e",
        "http://x/a:b@c",
    ],
)
def test_texts_without_a_secret(text: str) -> None:
    assert in_text(text) == []


def test_arguments_are_named_by_the_option_before_them() -> None:
    def found(*args: str) -> list[str]:
        return said(changed("taskSpec.containerSpec.args", list(args)))

    assert found("--password", "--token", "hunter2") == [f"{BY_NAME} taskSpec.containerSpec.args[2]"]
    assert found("--token", "/run/secrets/x", "hunter2") == []
    assert found("--token-file=/x", "hunter2") == []
    assert found("--token=/run/secrets/x", "hunter2") == []
    assert found("token", "hunter2") == []
    assert found("-token", "hunter2") == [f"{BY_NAME} taskSpec.containerSpec.args[1]"]


# no-secrets-in-plain-sight: by value


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FORMS.items() for value in values])
def test_known_forms(kind: str, value: str) -> None:
    where = "line 1 of taskSpec.containerSpec.env.A" if "\n" in value.strip() else "taskSpec.containerSpec.env.A"
    assert said(with_env(A=value)) == [f"has {kind} in {where}"]
    assert in_text(f"first\n{value}\nlast\n")[0] == f"has {kind} in line 2 of data"


@pytest.mark.parametrize(
    "kind", [kind for kind in FORMS if kind.endswith(("token", "AWS access key", "API key", "Stripe key"))]
)
def test_forms_that_are_too_short_are_words(kind: str) -> None:
    if kind == "a JSON web token":
        assert in_text("eyJhbGc.eyJzdWI.x") == []
        return
    shortest = {
        "a GitHub token": ["ghp_" + "aaaa" * 8 + "abc", "github_pat_" + "a" * 21],
    }.get(kind, [value[:-1] for value in FORMS[kind]])
    for value in shortest:
        assert in_text(value) == [], value


def alphabet_word(seed: int, alphabet: str, length: int) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))  # noqa: S311 - the same at each run


BASE64_ALPHABET = string.ascii_letters + string.digits + "+/"


@pytest.mark.parametrize("length", [32, 43, 64])
def test_random_base64_is_found(length: int) -> None:
    """One in a hundred may look like a name by chance."""
    words = [alphabet_word(seed, BASE64_ALPHABET, length) for seed in range(300)]
    missed = [word for word in words if in_text(f"x {word} y") != [f"{RANDOM} data"]]
    assert len(missed) <= 3


@pytest.mark.parametrize("length", [32, 48, 56])
def test_random_hexadecimal_digits_are_found(length: int) -> None:
    words = [alphabet_word(seed, "0123456789abcdef", length) for seed in range(300)]
    missed = [word for word in words if in_text(word) != [f"{RANDOM} data"]]
    assert len(missed) <= 3
    missed = [word for word in words if in_text(word.upper()) != [f"{RANDOM} data"]]
    assert len(missed) <= 3


@pytest.mark.parametrize("word", [BASE64[:24], BASE64, BASE64 + "==", HEX, HEX.upper(), "01234abc" * 4])
def test_words_at_the_limit_that_are_found(word: str) -> None:
    assert in_text(word) == [f"{RANDOM} data"]
    assert in_text(f"{word}:x") == [f"{RANDOM} data"]


@pytest.mark.parametrize(
    "word",
    [
        BASE64[:23],
        HEX[:31],
        BASE64.lower(),
        BASE64.upper(),
        "".join(letter if letter.isalpha() else "x" for letter in BASE64),
        "aB1" * 9,  # changes all the time, and is not random
        "abcdefghijklmnopABCDEFGHIJKLMNOP0123456789",  # is diverse, and does not change
        "abcABC123defDEF456ghiGHI789",
        "aB1cD2eF3" * 3,
        "0123456789" * 4 + "012",
        "abcdef" * 6,
        "ab" * 16,
        "cafe" * 9,
        "sha256-" + BASE64 * 2,
        "AAAAC3NzaC1lZDI1NTE5AAAAI" + BASE64,
        f"sha256:{hashlib.sha256(b'x').hexdigest()}",
        f"pidea/redis@sha256:{hashlib.sha256(b'y').hexdigest()}",
        *(hashlib.new(name, b"x").hexdigest() for name in ("sha1", "sha256", "sha384", "sha512")),
        str(uuid.UUID(int=0x3F9A0C7BE1D24856A7C3F01E9B6D2854)),
        str(uuid.UUID(int=0x3F9A0C7BE1D24856A7C3F01E9B6D2854)).upper(),
        "job:pidea_http_request_duration_seconds:p95_5m",
        "docs/runbooks/PideaPerformanceDegraded2.md",
        "OTEL_EXPORTER_OTLP_ENDPOINT_V2",
        "prometheus-postgres-exporter",
        "com.docker.network.driver.mtu",
    ],
)
def test_words_that_are_not_random(word: str) -> None:
    assert in_text(word) == []


# no-secrets-in-plain-sight: the platform's own


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_real_plan_has_none(stack: str) -> None:
    settings = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())["config"]
    plan = build_plan(StackSettings.from_config(settings))
    assert len(plan.services) >= 10
    for service in plan.services:
        container = {
            "env": dict(service.env),
            "commands": list(service.command),
            "args": list(service.command),
            "healthcheck": {"tests": list(service.healthcheck.command)},
        }
        assert said({"taskSpec": {"containerSpec": container}}) == [], service.name
    assert len(plan.configs) >= 7
    for spec in plan.configs:
        assert said(config(spec.content), CONFIG) == [], spec.name


@pytest.mark.parametrize(
    "path",
    [path for folder in ("templates", "rules") for path in sorted((REPOSITORY / "infra" / folder).iterdir())],
    ids=lambda path: path.name,
)
def test_no_template_alarms(path: Path) -> None:
    assert in_text(path.read_text()) == []
    # And the search is not blind for the kind of file.
    assert len(in_text(path.read_text() + "\npassword = hunter2\n")) == 1


# secrets-mounted-strictly

SECRET = "taskSpec.containerSpec.secrets.0"


def mounted(props: Any) -> list[str]:
    """What the rule about mounts says; only violations."""
    found = asked(MOUNTED, view(props))
    assert {finding.status for finding in found} <= {Status.VIOLATION}
    return messages(found)


@pytest.mark.parametrize(
    ("mode", "said_mode"),
    [
        (0o444, "0444"),
        (None, "0444"),
        (0o440, "0440"),
        (0o401, "0401"),
        (0o500, "0500"),
        (0o600, "0600"),
        (400, "0620"),
    ],
)
def test_a_mode_that_is_too_open(mode: int | None, said_mode: str) -> None:
    assert mounted(changed(f"{SECRET}.fileMode", mode)) == [
        f"mounts the secret redis-acl with mode {said_mode}, more than 0400"
    ]


@pytest.mark.parametrize("mode", [0o400, 256.0, "256", 0])
def test_a_mode_that_is_not(mode: Any) -> None:
    assert mounted(changed(f"{SECRET}.fileMode", mode)) == []


def test_whose_the_file_is() -> None:
    assert mounted(changed(f"{SECRET}.fileUid", "10002")) == [
        "mounts the secret redis-acl for the user 10002, but runs as 10001"
    ]
    assert mounted(changed(f"{SECRET}.fileUid", "0")) == [
        "mounts the secret redis-acl for the user 0, but runs as 10001"
    ]
    assert mounted(changed(f"{SECRET}.fileUid", "")) == mounted(changed(f"{SECRET}.fileUid", None))
    assert mounted(changed(f"{SECRET}.fileUid", None)) == [
        "does not say for whom it mounts the secret redis-acl, so that it is root's"
    ]
    root = changed(f"{SECRET}.fileUid", None, base=changed("taskSpec.containerSpec.user", "0"))
    assert mounted(root) == ["does not say for whom it mounts the secret redis-acl, so that it is root's"]
    assert mounted(changed(f"{SECRET}.fileUid", "0", base=root)) == []


@pytest.mark.parametrize("user", [None, ""])
def test_a_service_that_does_not_say_as_whom_it_runs(user: str | None) -> None:
    assert mounted(changed("taskSpec.containerSpec.user", user)) == [
        "mounts the secret redis-acl for the user 10001, but does not say as whom it runs"
    ]


def test_a_user_without_a_group() -> None:
    assert mounted(changed("taskSpec.containerSpec.user", "10001")) == []


@pytest.mark.parametrize("secrets", [None, []])
def test_no_secrets_at_all(secrets: Any) -> None:
    props = changed("taskSpec.containerSpec.user", UNKNOWN_STRING_VALUE)
    assert mounted(changed("taskSpec.containerSpec.secrets", secrets, base=props)) == []


def test_every_mount_is_judged_and_modes_come_first() -> None:
    secret = {"fileName": "b", "fileUid": "7", "fileMode": 0o777}
    props = changed("taskSpec.containerSpec.secrets", [secret, {**secret, "fileName": "c"}])
    assert mounted(props) == [
        "mounts the secret b with mode 0777, more than 0400",
        "mounts the secret c with mode 0777, more than 0400",
        "mounts the secret b for the user 7, but runs as 10001",
        "mounts the secret c for the user 7, but runs as 10001",
    ]


def test_ids_and_names_in_docker_need_not_be_known() -> None:
    props = changed(f"{SECRET}.secretId", UNKNOWN_STRING_VALUE)
    assert mounted(changed(f"{SECRET}.secretName", UNKNOWN_STRING_VALUE, base=props)) == []


@pytest.mark.parametrize(
    "path", [f"{SECRET}.fileMode", f"{SECRET}.fileUid", "taskSpec.containerSpec.user", "taskSpec.containerSpec.secrets"]
)
def test_what_is_not_known_yet(path: str) -> None:
    (finding,) = asked(MOUNTED, view(changed(path, UNKNOWN_STRING_VALUE)))
    expected = f"cannot be judged until deployed: {path.replace('.0', '[0]')} is not known yet"
    assert (finding.status, finding.message) == (Status.UNKNOWN, expected)


def repaired(props: Any) -> Any:
    assert MOUNTED.repair is not None
    return MOUNTED.repair(props)


def test_modes_are_repaired_and_nothing_else() -> None:
    open_ = {"fileName": "b", "fileUid": "7", "fileMode": 0o444}
    strict = {**open_, "fileMode": 0}
    props = changed("taskSpec.containerSpec.secrets", [open_, strict, {"fileName": "c"}])
    expected = copy.deepcopy(props)
    expected["taskSpec"]["containerSpec"]["secrets"][0]["fileMode"] = 0o400
    expected["taskSpec"]["containerSpec"]["secrets"][2]["fileMode"] = 0o400
    assert repaired(props) == expected


@pytest.mark.parametrize(
    "props",
    [
        SOUND,
        {},
        changed("taskSpec.containerSpec.secrets", UNKNOWN_STRING_VALUE),
        changed(f"{SECRET}.fileMode", UNKNOWN_STRING_VALUE),
        changed("taskSpec.containerSpec.secrets", "malformed"),
    ],
)
@pytest.mark.parametrize("proxied", [True, False])
def test_what_needs_or_allows_no_repair_stays(props: Any, proxied: bool) -> None:
    given = copy.deepcopy(dict(props))
    assert repaired(unknown_checking_proxy(given) if proxied else given) is None
    assert given == props


def test_a_repair_keeps_what_is_secret_or_unknown() -> None:
    """As Pulumi hands properties over, and takes them back."""
    encrypted = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "hunter2"}
    props = changed(f"{SECRET}.fileMode", 0o444, base=with_env(A=encrypted))
    props = changed(f"{SECRET}.secretId", UNKNOWN_STRING_VALUE, base=props)
    given = unknown_checking_proxy(deserialize_properties(copy.deepcopy(props), True))
    expected = changed(f"{SECRET}.fileMode", 0o400, base=props)
    assert serialize_properties(repaired(given)) == expected


@pytest.mark.parametrize(
    ("text", "alarms"),
    [
        ("# A configuration without passwords: the entrypoint puts them in.\n", False),
        ("  ; where is the password: nowhere\n", False),
        ("// no token: it is mounted\n", False),
        ("# password: hunter2\n", True),
        ("#password: hunter2\n", True),
        ("# the old one was password=hunter2\n", True),
        ("# a: password: hunter2\n", True),
        ("x: {password: hunter2}\n", True),
        ("x #password: hunter2\n", True),
        ("# no secrets here\npassword: hunter2\n", True),
    ],
)
def test_a_sentence_in_a_comment_is_no_assignment(text: str, alarms: bool) -> None:
    assert bool(in_text(text)) == alarms


def test_the_name_of_an_etcd_cluster_is_no_secret() -> None:
    assert in_text("--initial-cluster-token=pidea-prod") == []
    assert in_text("ETCD_INITIAL_CLUSTER_TOKEN: pidea-prod") == []
    assert in_text("--cluster-token=pidea-prod") != []

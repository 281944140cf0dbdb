"""The edge's certificate in a stack's configuration, encrypted by the real Pulumi."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest
import yaml

from infra.plan import build_plan
from infra.settings import StackSettings
from ops.errors import StateError, UsageError
from ops.paths import REPO
from ops.stack import authority, certificates, deploy, environment, settings
from ops.stack.certificates import KEY, LOCAL_ADDRESSES, LOCAL_NAMES
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack

pytestmark = pytest.mark.toolchain

COMMENTED = """\
# What nobody may lose.
config:
  pidea:environment: prod
  pidea:instance: pidea-x # neither this
  pidea:edge:
    tls: true
"""


@pytest.fixture
def environment_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The environment prod of a checkout that holds nothing else."""
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    shutil.copy(REPO / "Pulumi.yaml", tmp_path)
    (tmp_path / "Pulumi.prod.yaml").write_text(COMMENTED)
    return Stack(environment="prod", root=tmp_path, local=tmp_path / ".pidea")


@pytest.fixture
def instance_stack(environment_stack: Stack) -> Stack:
    """An instance of it."""
    stack = Stack(environment="prod", instance="x", root=environment_stack.root, local=environment_stack.local)
    stack.folder.mkdir(parents=True)
    stack.config_file.write_text(COMMENTED)
    return stack


def pulumi_of(stack: Stack) -> Pulumi:
    return Pulumi(stack, environment.tools())


def text_of(pulumi: Pulumi) -> str:
    text = pulumi.secret_setting(KEY, deploy.open_state(pulumi))
    assert text is not None
    return text


def test_it_is_set_encrypted_and_the_rest_of_the_file_stays(environment_stack: Stack) -> None:
    pulumi = pulumi_of(environment_stack)
    state = deploy.open_state(pulumi)
    assert certificates.current(pulumi, state) is None
    made = certificates.make_self_signed(pulumi, state, ["localhost"], ["127.0.0.1"])
    text = environment_stack.config_file.read_text()
    assert text.startswith(COMMENTED.rstrip("\n"))
    assert set(yaml.safe_load(text)) == {"config"}
    assert set(yaml.safe_load(text)["config"][KEY]) == {"secure"}
    assert "CERTIFICATE" not in text
    assert certificates.current(pulumi, state) == made
    assert made.hosts == ("localhost", "127.0.0.1")
    assert settings.plan_of(environment_stack).has_tls


def test_the_authority_is_for_its_owner_alone_and_stays(environment_stack: Stack) -> None:
    pulumi = pulumi_of(environment_stack)
    state = deploy.open_state(pulumi)
    one, other = (certificates.make_self_signed(pulumi, state, ["localhost"], []) for _ in range(2))
    assert one.digest != other.digest
    file = certificates.authority_file(environment_stack)
    assert one.chain.endswith(file.read_text())
    assert other.chain.endswith(file.read_text())
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_cannot_serve_is_not_set(environment_stack: Stack) -> None:
    pulumi = pulumi_of(environment_stack)
    with pytest.raises(UsageError, match="must hold a certificate in PEM form"):
        certificates.store(pulumi, deploy.open_state(pulumi), "no certificate")
    assert environment_stack.config_file.read_text() == COMMENTED


def test_a_name_that_is_no_hosts_is_refused(environment_stack: Stack) -> None:
    pulumi = pulumi_of(environment_stack)
    with pytest.raises(UsageError, match="There can be no certificate for bücher"):
        certificates.make_self_signed(pulumi, deploy.open_state(pulumi), ["bücher.test"], [])


def test_an_environment_without_one_is_told_how_to_set_it(environment_stack: Stack) -> None:
    pulumi = pulumi_of(environment_stack)
    plan = settings.plan_of(environment_stack)
    with pytest.raises(UsageError, match=f"pulumi config set --secret {KEY}"):
        certificates.ensure(pulumi, deploy.open_state(pulumi), plan)
    assert environment_stack.config_file.read_text() == COMMENTED


def test_an_environment_without_tls_needs_none(environment_stack: Stack) -> None:
    plan = build_plan(StackSettings.from_config({"pidea:environment": "staging", "pidea:instance": "x"}))
    pulumi = pulumi_of(environment_stack)
    certificates.ensure(pulumi, deploy.open_state(pulumi), plan)
    assert environment_stack.config_file.read_text() == COMMENTED


def test_an_instance_is_given_one_once(instance_stack: Stack) -> None:
    pulumi = pulumi_of(instance_stack)
    state, plan = deploy.open_state(pulumi), settings.plan_of(instance_stack)
    certificates.ensure(pulumi, state, plan)
    first = instance_stack.config_file.read_text()
    certificates.ensure(pulumi, state, plan)
    assert instance_stack.config_file.read_text() == first
    found = certificates.current(pulumi, state)
    assert found is not None
    assert set(found.hosts) == {*LOCAL_NAMES, *LOCAL_ADDRESSES}


def test_one_of_our_own_is_made_anew_for_another_address_or_before_its_end(
    instance_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = pulumi_of(instance_stack)
    state = deploy.open_state(pulumi)
    assert certificates.ensure_self_signed(pulumi, state, ["localhost"], ["10.1.2.3"]) is True
    assert certificates.ensure_self_signed(pulumi, state, ["localhost"], ["10.1.2.3"]) is False
    assert certificates.ensure_self_signed(pulumi, state, ["localhost"], ["10.1.2.4"]) is True
    assert certificates.ensure_self_signed(pulumi, state, ["localhost"], []) is False
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=70)
    monkeypatch.setattr(certificates, "_now", lambda: later)
    assert certificates.ensure_self_signed(pulumi, state, ["localhost"], []) is True


def test_one_from_elsewhere_is_left_alone(instance_stack: Stack) -> None:
    pulumi = pulumi_of(instance_stack)
    state, plan = deploy.open_state(pulumi), settings.plan_of(instance_stack)
    theirs = authority.self_signed(authority.make_authority("theirs"), ["pidea.test"], [])
    certificates.store(pulumi, state, theirs)
    certificates.ensure(pulumi, state, plan)
    assert text_of(pulumi) == theirs.rstrip("\n")


def test_one_that_was_encrypted_for_another_state_is_told(instance_stack: Stack) -> None:
    pulumi = pulumi_of(instance_stack)
    certificates.make_self_signed(pulumi, deploy.open_state(pulumi), ["localhost"], [])
    shutil.rmtree(instance_stack.folder / "state")
    with pytest.raises(StateError, match=r"encrypted for another state of stack prod-x; set it again"):
        certificates.current(pulumi, deploy.open_state(pulumi))
    # And that is enough.
    made = certificates.make_self_signed(pulumi, deploy.open_state(pulumi), ["localhost"], [])
    assert certificates.current(pulumi, deploy.open_state(pulumi)) == made

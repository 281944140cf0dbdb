"""The plan's Redis cluster as plain containers on this machine: its image, its configuration, its users.

Everything is named `haredis-…` and gone after `down`. What Swarm adds (placement, overlays, restarts) is not here.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from infra import credentials, names
from infra.plan import redis
from infra.settings import StackSettings
from infra.spec import SecretForm, SecretRef, ServiceSpec
from ops.cluster.members import MemberError
from ops.cluster.redis import Layout

REPOSITORY = Path(__file__).resolve().parents[2]
INSTANCE = "haredis"
IMAGE = "haredis"
NETWORK = f"{INSTANCE}-net"
# Where a test puts those members that shall see each other and nobody else.
ELSEWHERE = f"{INSTANCE}-elsewhere"
# A sentinel gives orders to a server that follows another one after 5 s, to one that calls itself a primary after 8 s.
ORDERS_SECONDS = 12
CLIENT_IMAGE = "haredis-client"
BASE_IMAGE = "haredis-base"
ROOTFS = "pidea/rootfs:bookworm"
# A control group whose containers get their share of a machine that others keep busy: figures are of no use otherwise.
_GROUP = os.environ.get("HAREDIS_CGROUP_PARENT", "")
GROUP = ("--cgroup-parent", _GROUP) if _GROUP else ()
# Fixed addresses, known to all: Docker's resolver, too, is slow on a busy machine.
_SUBNET = "172.31.78.0/24"
_MAKE: dict[SecretForm, Callable[..., str]] = {
    SecretForm.REDIS_CLUSTER_ACL: credentials.redis_cluster_acl,
    SecretForm.SENTINEL_ACL: credentials.sentinel_acl,
}


def docker(*arguments: str, stdin: str = "", check: bool = True, timeout_seconds: float = 60) -> str:
    """Docker's answer. Raises AssertionError with what it said where it fails and that matters."""
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr or done.stdout}"
    return done.stdout


class Rig:
    """`servers` and `sentinels` are logical names; a container is called `haredis-<name>`."""

    def __init__(self) -> None:
        config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
        settings = StackSettings.from_config({**config, "pidea:instance": INSTANCE})
        self.plan = redis.plan(settings)
        # In /var/lib, not in a home: the containers' user must be able to walk to it.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{INSTANCE}-", dir="/var/tmp"))
        self._folder.chmod(0o755)
        self.members = {s.name: s for s in self.plan.services if s.image == names.REDIS}
        self.servers = [name for name in self.members if name.startswith(f"{names.REDIS}-")]
        self.sentinels = [name for name in self.members if name.startswith(f"{names.SENTINEL}-")]
        self.layout = Layout(instance=INSTANCE, servers=tuple(self.servers), sentinels=tuple(self.sentinels))
        self.new_passwords()

    def new_passwords(self) -> None:
        """Every secret anew; members take them at their next creation."""
        passwords = {s.name: secrets.token_urlsafe(32) for s in self.plan.secrets if s.form is SecretForm.RANDOM}
        for ref in self.plan.secrets:
            content = self._content(ref, passwords)
            path = self._folder / ref.name
            path.unlink(missing_ok=True)
            path.write_text(content)
            shutil.chown(path, names.REDIS_UID, names.REDIS_UID)
            path.chmod(0o400)
        for spec in self.plan.configs:
            (self._folder / spec.name).write_text(spec.content)

    def _content(self, ref: SecretRef, passwords: dict[str, str]) -> str:
        if ref.form is SecretForm.RANDOM:
            return passwords[ref.name]
        make = _MAKE.get(ref.form)
        return make(*((passwords[source],) for source in ref.sources)) if make else ""

    @staticmethod
    def build() -> None:
        """The images, from Docker's cache where nothing changed."""
        build = ("build", "--quiet", "--network", "host")
        images = REPOSITORY / "images"
        here = Path(__file__).parent
        docker(*build, "-t", BASE_IMAGE, "--build-arg", f"BASE={ROOTFS}", str(images / "base"), timeout_seconds=900)
        arguments = ("--build-arg", f"BASE={BASE_IMAGE}", "--build-arg", "REDIS_MAJOR=7")
        docker(*build, "-t", IMAGE, *arguments, str(images / "redis"), timeout_seconds=900)
        docker(*build, "-t", CLIENT_IMAGE, "--build-arg", f"BASE={IMAGE}", str(here / "client"), timeout_seconds=900)

    def up(self) -> None:
        """All members at once, as at the first deployment."""
        self.down_containers()
        docker("network", "create", "--subnet", _SUBNET, "--label", f"dev.pidea.rig={INSTANCE}", NETWORK)
        for name in self.members:
            self.create(name)

    def address(self, member: str) -> str:
        """The fixed address of a member."""
        return f"{_SUBNET.rpartition('.')[0]}.{11 + list(self.members).index(member)}"

    @property
    def hosts(self) -> list[str]:
        """Options of `docker run` that make every member known by its address."""
        return (
            [part for m in self.members for part in ("--add-host", f"{INSTANCE}-{m}:{self.address(m)}")]
            if _GROUP
            else []
        )

    def connect(self, member: str) -> None:
        """Back to the network."""
        docker("network", "connect", "--ip", self.address(member), NETWORK, self.container(member))

    def create(self, name: str) -> None:
        """A container as the plan says."""
        docker(*self._run(self.members[name]))

    def _run(self, spec: ServiceSpec) -> list[str]:
        check = spec.healthcheck
        command = " ".join(check.command[1:]) if check.command[0] == "CMD" else check.command[1]
        name = f"{INSTANCE}-{spec.name}"
        arguments = ["run", "-d", "--name", name, "--hostname", name, "--network", NETWORK, "--user", spec.user]
        arguments += ["--ip", self.address(spec.name), *self.hosts]
        arguments += ["--read-only", "--cap-drop", "ALL", "--dns", "127.0.0.1", "--memory", "256m"]
        arguments += [part for option in spec.dns_options for part in ("--dns-option", option)]
        arguments += [part for key, value in spec.env.items() for part in ("-e", f"{key}={value}")]
        arguments += ["--health-cmd", command, "--health-interval", f"{check.interval_seconds}s"]
        arguments += ["--health-timeout", f"{check.timeout_seconds}s", "--health-retries", str(check.retries)]
        arguments += ["--health-start-period", f"{check.start_period_seconds}s"]
        for secret in spec.secrets:
            arguments += ["-v", f"{self._folder / secret.secret}:/run/secrets/{secret.target}:ro"]
        for config in spec.configs:
            arguments += ["-v", f"{self._folder / config.config}:{config.target}:ro"]
        for tmpfs in spec.tmpfs:
            arguments += ["--tmpfs", f"{tmpfs.target}:mode=0777,size={tmpfs.size_bytes}"]
        arguments += ["-v", f"{name}-data:/data", "--label", f"dev.pidea.rig={INSTANCE}", *GROUP]
        return [*arguments, IMAGE, *spec.command]

    def down_containers(self) -> None:
        left = docker("ps", "-aq", "--filter", f"name=^{INSTANCE}-").split()
        if left:
            docker("rm", "-f", "-v", *left, check=False)
        for member in self.members:
            docker("volume", "rm", f"{INSTANCE}-{member}-data", check=False)
        docker("network", "rm", NETWORK, check=False)

    def down(self) -> None:
        """Nothing of it is left but images."""
        self.down_containers()
        shutil.rmtree(self._folder)

    def run(self, member: str, command: Sequence[str], stdin: str = "") -> str:
        """As `ops.cluster.members.Members.run`."""
        try:
            return docker("exec", "-i", f"{INSTANCE}-{member}", *command, stdin=stdin, timeout_seconds=15)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise MemberError(str(error).strip().splitlines()[-1]) from error

    def secret_file(self, name: str) -> Path:
        return self._folder / name

    def on_node_of(self, member: str) -> list[str]:
        """The members that would be on one node with that one."""
        slot = member.rpartition("-")[2]
        return [name for name in self.members if name.endswith(f"-{slot}")]

    def container(self, member: str) -> str:
        return f"{INSTANCE}-{member}"

    def log(self, member: str) -> str:
        done = subprocess.run(["docker", "logs", self.container(member)], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def recreate(self, member: str) -> None:
        """A new container over the same volume, as Swarm makes one after a failure or for an update."""
        docker("stop", "-t", "15", self.container(member))
        docker("rm", self.container(member))
        self.create(member)

    def redis(self, member: str, *command: str) -> str:
        """The answer of a server or sentinel to its administrator."""
        port = names.SENTINEL_PORT if member in self.sentinels else names.REDIS_PORT
        line = (
            f"REDISCLI_AUTH=$(cat {names.secret_path(names.REDIS_ADMIN_PASSWORD)}) exec timeout 3 redis-cli"
            f' --no-auth-warning --raw --user {names.REDIS_ADMIN_USERNAME} -p {port} "$@"'
        )
        return self.run(member, ["sh", "-c", line, "sh", *command]).strip()

    def primaries(self) -> dict[str, str]:
        """Who each sentinel that answers names."""
        found = {}
        for sentinel in self.sentinels:
            try:
                said = self.redis(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", names.REDIS_PRIMARY)
                found[sentinel] = said.splitlines()[0].removeprefix(f"{INSTANCE}-")
            except (MemberError, IndexError):
                found[sentinel] = "?"
        return found

    def follows(self, replica: str) -> str:
        """Whom a server follows; itself where it is a primary."""
        try:
            said = self.redis(replica, "ROLE").splitlines()
        except MemberError:
            return "?"
        return said[1].removeprefix(f"{INSTANCE}-") if said[0] == "slave" else replica

    def restarts(self, member: str) -> int:
        """How often Docker has started its container again."""
        return int(docker("inspect", "--format", "{{.RestartCount}}", self.container(member)))

    def stays(self, look: Callable[[], bool], what: str, seconds: float) -> None:
        """Looks for so long, and never sees anything else."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert look(), f"no longer so: {what}"
            time.sleep(0.2)

    def wait(self, look: Callable[[], bool], what: str, seconds: float = 60) -> float:
        """The seconds until `look` is true."""
        started = time.monotonic()
        while not look():
            assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
            time.sleep(0.2)
        return time.monotonic() - started

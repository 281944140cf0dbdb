"""The staging stack's PostgreSQL, Redis and backup service as plain containers, each as the plan says it."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from infra import names
from infra.credentials import redis_acl
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan, SecretForm
from tests.backup import servers
from tests.stack.plain import build, create_arguments, docker
from tests.stack.waiting import wait_until
from tests.unit.infra.conftest import read_config

PROGRAM = ("/usr/bin/python3.11", "-m", "ops.backup")
_NETWORKS = (names.DATA, names.EGRESS)


class Answered:
    """What a command of the service answered: its exit code, and what it printed as JSON."""

    def __init__(self, code: int, output: str, said: str) -> None:
        self.code = code
        self.said = said
        self.json: dict[str, Any] = json.loads(output.strip().splitlines()[-1]) if output.strip() else {}

    @property
    def text(self) -> str:
        """For a test's message."""
        return f"exit code {self.code}\n{self.json}\n{self.said[-3000:]}"


class Service:
    """A running backup service."""

    def __init__(self, container: str, volume: str) -> None:
        self.container = container
        self.volume = volume

    def ask(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Answered:
        """A command to its end, whatever that is."""
        done = subprocess.run(
            self._command(arguments, env or {}), input=stdin, capture_output=True, text=True, check=False, timeout=300
        )
        return Answered(done.returncode, done.stdout, done.stderr)

    def do(self, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """A command that must succeed."""
        answered = self.ask(*arguments, stdin=stdin)
        assert answered.code == 0, answered.text
        return answered.json

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command under way."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command(arguments, {}), stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, *command: str, check: bool = True) -> str:
        """What any command in the container prints."""
        return docker("exec", self.container, *command, check=check, seconds=300)

    def metrics(self) -> str:
        """What it tells Prometheus."""
        ask = "exec 3<>/dev/tcp/127.0.0.1/9201; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
        return self.run("bash", "-c", ask)

    def _command(self, arguments: tuple[str, ...], env: Mapping[str, str]) -> list[str]:
        given = [f"--env={key}={value}" for key, value in env.items()]
        return ["docker", "exec", "--interactive", *given, self.container, *PROGRAM, *arguments]


class Stand:
    """PostgreSQL and Redis that run; `close` leaves nothing behind."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        # Further options of `docker create`, for each container.
        self.options: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
        self.passwords = {
            ref.name: secrets.token_urlsafe(32) for ref in self.plan({}).secrets if ref.form is SecretForm.RANDOM
        }
        self._servers: list[servers.Server] = []

    def plan(self, backup: Mapping[str, Any]) -> DeploymentPlan:
        """The staging stack's plan with other settings of backups, and a name of its own."""
        config = {**read_config("staging"), "pidea:instance": self.prefix, "pidea:backup": {"walSeconds": 10, **backup}}
        return build_plan(StackSettings.from_config(config))

    def up(self) -> None:
        for network in _NETWORKS:
            docker("network", "create", "--internal", self.network(network))
        for service in (names.POSTGRES, names.REDIS):
            self._run(service)
        servers.build(self._image(names.BASE_IMAGE, self.plan({})))

    def close(self) -> None:
        for server in self._servers:
            server.remove()
        for service in (names.BACKUP, names.POSTGRES, names.REDIS):
            docker("rm", "--force", "--volumes", self.container(service), check=False)
            docker("volume", "rm", "--force", self._volume(service), check=False)
        for network in _NETWORKS:
            docker("network", "rm", self.network(network), check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def replace(self, service: str) -> None:
        """A new container on the files of one that has ended, as Swarm makes it: it starts none again."""
        docker("rm", "--force", self.container(service))
        self._run(service)

    def _run(self, service: str) -> None:
        self.create(service, self.plan({}))
        docker("start", self.container(service))
        self.wait(service)

    def server(self, kind: str, **options: Any) -> servers.Server:
        """A server that keeps backups; it is gone with the stand."""
        name = f"{self.prefix}-{kind}-{len(self._servers)}"
        self._servers.append(servers.MAKERS[kind](name, self.network(names.EGRESS), self.folder, **options))
        return self._servers[-1]

    @contextlib.contextmanager
    def service(
        self,
        repository: servers.Server | None = None,
        offsite: servers.Server | None = None,
        *,
        password: str | None = None,
        volume_options: tuple[str, ...] = (),
    ) -> Iterator[Service]:
        """A backup service with an empty volume, which is gone with it."""
        given = {"repository": repository, "offsite": offsite}
        plan = self.plan({key: dict(server.settings) for key, server in given.items() if server})
        logins = {
            name: server.login
            for name, server in (
                (names.BACKUP_REPOSITORY_LOGIN, repository),
                (names.BACKUP_OFFSITE_LOGIN, offsite),
            )
            if server
        }
        if password:
            logins[names.BACKUP_REPOSITORY_PASSWORD] = password
        docker("volume", "create", *volume_options, self._volume(names.BACKUP))
        try:
            self.create(names.BACKUP, plan, logins)
            if repository or offsite:
                docker("network", "connect", self.network(names.EGRESS), self.container(names.BACKUP))
            docker("start", self.container(names.BACKUP))
            self.wait(names.BACKUP)
            yield Service(self.container(names.BACKUP), self._volume(names.BACKUP))
        finally:
            docker("rm", "--force", "--volumes", self.container(names.BACKUP), check=False)
            docker("volume", "rm", "--force", self._volume(names.BACKUP), check=False)

    def create(self, service: str, plan: DeploymentPlan, logins: Mapping[str, str] | None = None) -> None:
        """The container of a service, not started."""
        (spec,) = [found for found in plan.services if found.name == service]
        contents = {**self.passwords, **(logins or {})}
        (acl,) = [ref for ref in plan.secrets if ref.name == names.REDIS_ACL]
        contents[names.REDIS_ACL] = redis_acl(*((self.passwords[source],) for source in acl.sources))
        arguments = create_arguments(
            spec,
            container=self.container(service),
            image=self._image(spec.image, plan),
            network=self.network(names.DATA),
            volume=lambda _: self._volume(service),
            configs={config.name: config for config in plan.configs},
            secrets=contents,
            folder=self.folder,
            env={"ALERTMANAGER_URLS": ""} if service == names.BACKUP else {},  # nobody to ask for silences
        )
        docker(*arguments[:1], *self.options, *arguments[1:])

    def sql(self, statement: str) -> str:
        """What the server answers to its superuser."""
        command = ["psql", "-XAtq", f"--dbname={names.POSTGRES_DATABASE}", "--set=ON_ERROR_STOP=1"]
        container = self.container(names.POSTGRES)
        return docker("exec", "--interactive", container, *command, stdin=f"{statement}\n", seconds=120).strip()

    def write(self, rows: int) -> int:
        """Adds so many rows; gives how many there are then."""
        self.sql(f"INSERT INTO notes (text) SELECT repeat(md5(random()::text), 8) FROM generate_series(1, {rows})")  # noqa: S608 - a number
        return int(self.sql("SELECT count(*) FROM notes"))

    def redis(self, *command: str) -> str:
        """What the server answers to its administrator."""
        login = f"--env=REDISCLI_AUTH={self.passwords[names.REDIS_ADMIN_PASSWORD]}"
        client = ["redis-cli", "--no-auth-warning", "--user", names.REDIS_ADMIN_USERNAME]
        return docker("exec", login, self.container(names.REDIS), *client, *command).strip()

    def wait(self, service: str) -> None:
        """Until it is healthy."""
        status = ["inspect", "--format={{.State.Health.Status}}", self.container(service)]
        wait_until(lambda: docker(*status).strip() == "healthy", f"{service} is healthy", timeout_seconds=120)

    def address(self, service: str) -> str:
        """Where this machine reaches a service just now; empty while it does not run."""
        return docker(
            *(
                "inspect",
                "--format",
                f'{{{{(index .NetworkSettings.Networks "{self.network(names.DATA)}").IPAddress}}}}',
            ),
            self.container(service),
            check=False,
        ).strip()

    def container(self, service: str) -> str:
        return names.physical(self.prefix, service)

    def network(self, network: str) -> str:
        return f"{self.prefix}-{network}"

    def _volume(self, service: str) -> str:
        return f"{self.prefix}-{service}-data"

    def _image(self, image: str, plan: DeploymentPlan) -> str:
        specs = {spec.name: spec for spec in plan.images}
        spec = specs[image]
        return build(spec, self._image(spec.base, plan) if spec.base else "pidea/rootfs:bookworm")


Made = TypeVar("Made", bound=Stand)


@contextlib.contextmanager
def standing(made: Made) -> Iterator[Made]:
    """A stand that is up, with a thousand notes in it."""
    try:
        made.up()
        made.sql("CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)")
        made.write(1000)
        yield made
    finally:
        made.close()

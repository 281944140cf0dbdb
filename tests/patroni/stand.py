"""The production stack's PostgreSQL on this machine: etcd and Patroni from our images, as the plan describes them.

Plain containers on bridge networks instead of Swarm's tasks, with everything that the plan says of them: read-only,
without capabilities, the same users, configs, secrets, memory. Like Swarm, `watch` replaces a container that ended by
a new one after two seconds; the new one has the old volume and may have another address.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from infra import names
from infra.plan import build_plan
from infra.settings import StackSettings
from infra.spec import DeploymentPlan, ServiceSpec
from ops.cluster.members import MemberError
from tests.stack.plain import create_arguments, docker

REPOSITORY = Path(__file__).resolve().parents[2]
RESTART_SECONDS = 2.0
# Built in this order: each from the one before it that it names.
IMAGES = {"base": None, "postgres": "base", "patroni": "postgres", "etcd": "base"}
NETWORKS = (names.DATA, names.CONSENSUS)


def prod_plan(instance: str, octet: int, **settings: Any) -> DeploymentPlan:
    """The production stack's plan under another name and on networks of its own."""
    config = yaml.safe_load((REPOSITORY / "Pulumi.prod.yaml").read_text())["config"]
    config |= {"pidea:instance": instance, "pidea:network": {"cidr": f"10.{octet}.0.0/16"}}
    config |= {f"pidea:{key}": value for key, value in settings.items()}
    return build_plan(StackSettings.from_config(config))


def clustered(plan: DeploymentPlan) -> dict[str, ServiceSpec]:
    """The members of both clusters."""
    wanted = (names.POSTGRES, names.ETCD)
    return {service.name: service for service in plan.services if service.name.rpartition("-")[0] in wanted}


class Stand:
    """A running cluster; `close` leaves nothing behind."""

    def __init__(self, prefix: str, octet: int) -> None:
        self.prefix = prefix
        self.plan = prod_plan(prefix, octet)
        self.services = clustered(self.plan)
        # The plan that a service was last started with.
        self._plans = dict.fromkeys(self.services, self.plan)
        self.members = [name for name in self.services if name.startswith(names.POSTGRES)]
        self.folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
        self.passwords = {secret.name: secrets.token_urlsafe(32) for secret in self.plan.secrets}
        # What shall run: the watcher brings back only that.
        self.wanted: set[str] = set()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def container(self, service: str) -> str:
        return names.physical(self.prefix, service)

    def up(self) -> None:
        """Everything at once, as a first `up` does."""
        self._build()
        for network in self.plan.networks:
            if network.name in NETWORKS:
                docker("network", "create", "--internal", f"--subnet={network.subnet}", self._network(network.name))
        for service in self.services:
            self.start(service)
        self._watcher.start()

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self.wanted.clear()
            for service in self.services:
                docker("rm", "--force", "--volumes", self.container(service), check=False)
                for mount in self.services[service].volumes:
                    docker("volume", "rm", self._volume(service, mount.volume), check=False)
            for network in NETWORKS:
                docker("network", "rm", self._network(network), check=False)
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, service: str) -> None:
        """A new container over the service's volume."""
        with self._lock:
            self.wanted.add(service)
            docker("rm", "--force", self.container(service), check=False)
            docker(*self._create(self.services[service]))
            for network in self.services[service].networks[1:]:
                if network in NETWORKS:
                    docker("network", "connect", self._network(network), self.container(service))
            docker("start", self.container(service))

    def stop(self, service: str) -> None:
        """As Swarm stops a task; it stays away until `start`."""
        with self._lock:
            self.wanted.discard(service)
        spec = self.services[service]
        docker("kill", f"--signal={spec.stop_signal}", self.container(service))
        docker("wait", self.container(service), seconds=spec.stop_grace_period_seconds + 10)

    def kill(self, service: str, *, for_good: bool = False) -> None:
        """SIGKILL to everything in the container."""
        if for_good:
            with self._lock:
                self.wanted.discard(service)
        docker("kill", self.container(service))

    def lose_volume(self, service: str) -> None:
        """The member is gone, and its data with it."""
        self.kill(service, for_good=True)
        docker("rm", "--force", self.container(service))
        for mount in self.services[service].volumes:
            docker("volume", "rm", self._volume(service, mount.volume))

    def disconnect(self, service: str) -> None:
        """From every network: what the rest of the world sees of a lost node, while it runs on."""
        for network in self.services[service].networks:
            if network in NETWORKS:
                docker("network", "disconnect", "--force", self._network(network), self.container(service))

    def connect(self, service: str) -> None:
        for network in self.services[service].networks:
            if network in NETWORKS:
                docker("network", "connect", self._network(network), self.container(service))

    def run(self, member: str, command: Sequence[str], stdin: str = "") -> str:
        """As ops.cluster.members.Members.run does."""
        try:
            return docker("exec", "--interactive", self.container(member), *command, stdin=stdin, seconds=60)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise MemberError(str(error)) from error

    def sql(self, member: str, statement: str) -> str:
        return self.run(member, ("psql", "-XAtq", "--dbname=postgres", "--command", statement)).strip()

    def addresses(self) -> list[str]:
        """Where this machine reaches the members just now; those that have no address are left out."""
        containers = [self.container(member) for member in self.members]
        found = json.loads(docker("inspect", *containers, check=False) or "[]")
        endpoints = (one["NetworkSettings"]["Networks"].get(self._network(names.DATA)) for one in found)
        return [endpoint["IPAddress"] for endpoint in endpoints if endpoint and endpoint["IPAddress"]]

    def logs(self, service: str) -> str:
        done = subprocess.run(
            ["docker", "logs", self.container(service)], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def update(self, service: str, plan: DeploymentPlan) -> None:
        """Stops the service and starts it as `plan` has it."""
        self.stop(service)
        self._plans[service] = plan
        self.services[service] = clustered(plan)[service]
        self.start(service)

    def renew_passwords(self) -> None:
        """For what is started from now on; containers that run keep theirs, as a Swarm secret's version is theirs."""
        self.passwords = {name: secrets.token_urlsafe(32) for name in self.passwords}

    def _watch(self) -> None:
        ended: dict[str, float] = {}
        while not self._closing.wait(0.2):
            try:
                lines = docker("ps", "--filter", f"name=^{self.prefix}-", "--format", "{{.Names}}").split()
            except (RuntimeError, subprocess.TimeoutExpired):
                continue  # an engine that is too busy to answer says nothing about the containers
            with self._lock:
                for service in self.wanted:
                    if self.container(service) in lines:
                        ended.pop(service, None)
                    elif time.monotonic() - ended.setdefault(service, time.monotonic()) >= RESTART_SECONDS:
                        ended.pop(service)
                        self.start(service)

    def _build(self) -> None:
        for image, base in IMAGES.items():
            source = f"{self.prefix}/{base}" if base else "pidea/rootfs:bookworm"
            majors = ["--build-arg", "POSTGRES_MAJOR=15"] if image == "postgres" else []
            arguments = ["--build-arg", f"BASE={source}", *majors, "-t", f"{self.prefix}/{image}"]
            docker("build", "-q", "--network=host", *arguments, str(REPOSITORY / "images" / image), seconds=900)

    def _network(self, network: str) -> str:
        return f"{self.prefix}-{network}"

    def _volume(self, service: str, volume: str) -> str:
        return f"{self.prefix}-{service}-{volume}"

    def _create(self, spec: ServiceSpec) -> list[str]:
        return create_arguments(
            spec,
            container=self.container(spec.name),
            image=f"{self.prefix}/{spec.image}",
            network=self._network(spec.networks[0]),
            volume=lambda volume: self._volume(spec.name, volume),
            configs={config.name: config for config in self._plans[spec.name].configs},
            secrets=self.passwords,
            folder=self.folder,
        )

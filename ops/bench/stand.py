"""The test stand: a staging stack of its own, and services beside its application that are compared with each other.

Load comes from a container on the stack's own networks; nothing else is asked, and nothing outside is touched.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra import names, outputs
from ops import console
from ops.errors import DeployError
from ops.stack import deploy, environment, instances, settings, swarm, teardown
from ops.stack.pulumi import Pulumi
from ops.stack.reference import Stack, resolve

INSTANCE = "bench-app"
LABEL = "dev.pidea.bench"
DRIVER = "driver"
IMAGE_FOLDER = Path(__file__).parent / "image"
# The longest silence of a command in a container: a whole round of load.
SILENCE_SECONDS = 1800.0
HEALTHY_WITHIN_SECONDS = 120.0


@dataclass(frozen=True)
class Mix:
    """What clients ask for: so many chats of so many messages, their popularity falling as 1 / rank**skew, and the
    part of all requests that writes. Between an answer and the next question a client thinks for `think_ms` on
    average."""

    chats: int = 2000
    messages: int = 50
    skew: float = 1.0
    writes: float = 0.05
    think_ms: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """For the load generators."""
        return {
            "CHATS": str(self.chats),
            "SKEW": str(self.skew),
            "WRITES": str(self.writes),
            "THINK_MS": str(self.think_ms),
        }


class Stand:
    """The running stand. Made by `opened`."""

    def __init__(self, stack: Stack, api: docker.APIClient, instance: str, token: str, image: str) -> None:
        self.stack = stack
        self._api = api
        self.instance = instance
        self._token = token
        self._image = image
        self.mix = Mix()

    def host(self, name: str) -> str:
        """A service's name in Docker, and in the stack's network."""
        return names.physical(self.instance, f"bench-{name}")

    @property
    def edge(self) -> str:
        """The edge's name in the stack's network, where users' requests come in."""
        return names.physical(self.instance, names.EDGE)

    def backend(self, name: str, replicas: int = 1, **env: str) -> None:
        """Start the application as the stack runs it, but for some settings."""
        limits = {"RATE_LIMIT_PER_SECOND": "0", "TRACE_SAMPLING_RATIO": "0.1"}
        self._create(name, self._template(names.APP), {**limits, **env}, replicas)
        self._wait_until(lambda: self._has_replicas(name, replicas), f"{self.host(name)} cannot be reached")

    def comparator(self, library: str) -> None:
        """Start the same job done with a library, within the same limits, with a Redis of its own."""
        cache = f"{library}-redis"
        redis = self._template(names.REDIS)
        redis["ContainerSpec"] |= {"Args": ["redis-server", "--save", "", "--protected-mode", "no"], "Configs": []}
        redis["ContainerSpec"]["Healthcheck"]["Test"] = ["CMD", "redis-cli", "ping"]
        redis["Networks"] = self._template(names.APP)["Networks"]
        self._create(cache, redis, {})
        template = self._template(names.APP)
        template["ContainerSpec"] |= {"Image": self._image, "Args": ["python", "/opt/bench/comparator.py"]}
        digest = hashlib.sha256(self._token.encode()).hexdigest()
        env = {"LIBRARY": library, "CACHE_HOST": self.host(cache), "OWNER": names.API_CLIENT, "TOKEN_SHA256": digest}
        self._create(library, template, env)
        self._wait_until(lambda: self._has_replicas(library, 1), f"{self.host(library)} cannot be reached")

    def driver(self) -> None:
        """Start the container that load comes from."""
        template = self._template(names.APP)
        template["ContainerSpec"] |= {"Image": self._image, "Args": ["sleep", "infinity"]}
        template["ContainerSpec"].pop("Healthcheck")
        template["Resources"] = {}
        self._create(DRIVER, template, {})

    def seed(self) -> None:
        """Fill the database with the mix's chats."""
        self.run(["python", "seed.py", names.API_CLIENT, str(self.mix.chats), str(self.mix.messages)])

    def dumper(self, name: str) -> None:
        """Start an empty PostgreSQL as the stack runs its own, which sees the files of the stack's Redis in `/redis`.

        Its tools may use what the machine has, and as root read what is another user's.
        """
        template = self._template(names.POSTGRES)
        redis = self._template(names.REDIS)
        container = template["ContainerSpec"]
        container.pop("CapabilityDrop", None)
        files = [mount for mount in redis["ContainerSpec"]["Mounts"] if mount["Target"] == "/data"]
        # Its own files go to the volume that its image declares, which is gone with the container.
        container["Mounts"] = [
            *(mount for mount in container["Mounts"] if mount["Target"] != "/data"),
            *({**mount, "Target": "/redis", "ReadOnly": True} for mount in files),
        ]
        self._create(name, template, {})

    def wrk(
        self,
        name: str,
        *,
        seconds: int,
        connections: int,
        replicas: int = 1,
        client: str = "bench",
        mix: Mix | None = None,
    ) -> Any:
        """A closed loop of so many connections, divided among the replicas; what mix.lua prints."""
        load = ["wrk", f"-t{replicas}", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-smix.lua"]
        env = {**(mix or self.mix).environment, "CLIENT_ID": client}
        return json.loads(self.run([*load, f"http://{self.host(name)}:8080"], env).splitlines()[-1])

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        """Run a program of the bench's image to its end and return its output."""
        environment = {**self.mix.environment, "TOKEN": self._token, **(env or {})}
        return self.run_in(self.container(DRIVER), command, environment)

    def run_in(
        self, container: str, command: Sequence[str], env: Mapping[str, str] | None = None, *, user: str = ""
    ) -> str:
        """Run a program in any container to its end and return its output."""
        made = self._api.exec_create(container, list(command), environment=dict(env or {}), user=user)
        output, errors = self._api.exec_start(made["Id"], demux=True)
        code = self._api.exec_inspect(made["Id"])["ExitCode"]
        if code != 0:
            said = (errors or output or b"").decode(errors="replace").strip().splitlines()
            raise DeployError(f"{' '.join(command[:2])} in the benchmark failed ({code}): {' / '.join(said[-3:])}")
        return (output or b"").decode()

    def cpu_seconds(self, container: str) -> float:
        """Processor time that everything in a container has used since it started, as its cgroup counts it."""
        stats = self._api.stats(container, stream=False, one_shot=True)
        return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    def memory_bytes(self, container: str) -> int:
        """Memory of everything in a container, less the files that the kernel would give up first."""
        memory = self._api.stats(container, stream=False, one_shot=True)["memory_stats"]
        given_up = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
        return int(memory["usage"]) - int(given_up)

    def containers_of_stack(self) -> dict[str, str]:
        """The ids of all containers of the stack's services, and of which service each is."""
        of = "com.docker.swarm.service.name"
        wanted = {names.physical(self.instance, spec.name): spec.name for spec in settings.plan_of(self.stack).services}
        found = self._api.containers(filters={"label": of})
        return {str(item["Id"]): wanted[name] for item in found if (name := item["Labels"][of]) in wanted}

    def metrics(self, name: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of every replica, added up."""
        total: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        families = text_string_to_metric_families(self.run(["python", "scrape.py", self.host(name)]))
        for family in families:
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                total[key] = total.get(key, 0.0) + sample.value
        return total

    def container(self, name: str, *, of_stack: bool = False) -> str:
        """The id of the running container of one of our services, or of one of the stack's."""
        service = names.physical(self.instance, name) if of_stack else self.host(name)
        found = self._api.containers(filters={"label": f"com.docker.swarm.service.name={service}"})
        if not found:
            raise DeployError(f"Service {service} has no running container; see `docker service ps {service}`.")
        return str(found[0]["Id"])

    @contextlib.contextmanager
    def frozen_for(self, container: str, *, after_seconds: float, seconds: float) -> Iterator[None]:
        """In the background: a container that for a while neither answers nor hangs up."""
        ended = threading.Event()

        def freeze() -> None:
            if not ended.wait(after_seconds):
                self._api.pause(container)
                ended.wait(seconds)
                self._api.unpause(container)

        with beside(freeze, ended):
            yield

    @contextlib.contextmanager
    def killed(self, name: str, *, after_seconds: float) -> Iterator[list[float]]:
        """In the background: a container of the stack ended as by a crash. Swarm starts another.

        Yields a list that gets, once that one is healthy, for how many seconds there was none.
        """
        away: list[float] = []
        ended = threading.Event()
        old = self.container(name, of_stack=True)

        def kill() -> None:
            if ended.wait(after_seconds):
                return
            self._api.kill(old)
            since = time.monotonic()
            label = f"com.docker.swarm.service.name={names.physical(self.instance, name)}"
            filters = {"label": label, "health": "healthy"}
            while not any(item["Id"] != old for item in self._api.containers(filters=filters)):
                if ended.wait(0.2):
                    return
            away.append(time.monotonic() - since)

        with beside(kill, ended):
            yield away

    def remove(self, *which: str) -> None:
        """Remove our services, by name or all; wait until they have left their networks."""
        label = f"{LABEL}={self.instance}"
        wanted = {self.host(name) for name in which}
        for service in self._api.services(filters={"label": label}):  # type: ignore[no-untyped-call]
            if not which or service["Spec"]["Name"] in wanted:
                self._api.remove_service(service["ID"])  # type: ignore[no-untyped-call]

        def gone() -> bool:
            left = self._api.containers(all=True, filters={"label": label})
            return not any(not which or item["Labels"]["com.docker.swarm.service.name"] in wanted for item in left)

        self._wait_until(gone, "The benchmark's services do not end")

    def _template(self, service: str) -> dict[str, Any]:
        found = self._api.inspect_service(names.physical(self.instance, service))  # type: ignore[no-untyped-call]
        template: dict[str, Any] = copy.deepcopy(found["Spec"]["TaskTemplate"])
        template["ContainerSpec"]["Labels"] = {LABEL: self.instance}
        return template

    def _create(self, name: str, template: dict[str, Any], env: Mapping[str, str], replicas: int = 1) -> None:
        given = dict(item.split("=", 1) for item in template["ContainerSpec"].get("Env") or [])
        template["ContainerSpec"]["Env"] = [f"{key}={value}" for key, value in {**given, **env}.items()]
        mode = docker.types.ServiceMode("replicated", replicas)
        # By the containers' own addresses, as the stack's edge has them.
        endpoint = docker.types.EndpointSpec(mode="dnsrr")
        labels = {LABEL: self.instance}
        self._api.create_service(template, name=self.host(name), labels=labels, mode=mode, endpoint_spec=endpoint)  # type: ignore[no-untyped-call]
        self._wait_until(lambda: self._is_healthy(name, replicas), f"{self.host(name)} did not become healthy")

    def _wait_until(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise DeployError(f"{otherwise}; see `docker service ps` and `docker service logs`.")
            time.sleep(0.5)

    def _has_replicas(self, name: str, replicas: int) -> bool:
        """Whether so many can be reached from the driver."""
        try:
            return self.run(["python", "scrape.py", self.host(name)]).count("\n# EOF-REPLICA") == replicas
        except DeployError:
            return False

    def _is_healthy(self, name: str, replicas: int) -> bool:
        label = f"com.docker.swarm.service.name={self.host(name)}"
        found = self._api.containers(filters={"label": label, "status": "running"})
        return len(found) == replicas and not any("health:" in item["Status"] for item in found)


@contextlib.contextmanager
def beside(work: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Runs `work` in a thread, tells it when the block has ended, and raises what it raised."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            yield
        finally:
            ended.set()
        running.result()


@contextlib.contextmanager
def opened(
    *, keep: bool, instance: str = INSTANCE, config: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Stand]:
    """Bring the stack up, build the bench's image, and remove it all at the end, unless it is to be kept.

    `config` has settings of the instance that differ from staging's, by section.
    """
    stack = resolve("staging", instance)
    try:
        _configure(stack, config or {})
        deploy.deploy(stack)
        with swarm.client(SILENCE_SECONDS) as api:
            prefix = settings.plan_of(stack).instance
            token = str(Pulumi(stack, environment.tools()).outputs(secrets=True)[outputs.API_TOKEN])
            with console.step("Image of the load generators"):
                image = _build(api, prefix)
            stand = Stand(stack, api, prefix, token, image)
            stand.remove()
            try:
                stand.driver()
                yield stand
            finally:
                stand.remove()
    finally:
        # Also after a deployment that failed or was interrupted.
        if not keep and stack.config_file.exists():
            teardown.destroy(stack, with_data=True)


def _configure(stack: Stack, config: Mapping[str, Mapping[str, Any]]) -> None:
    instances.ensure(stack)
    content = yaml.safe_load(stack.config_file.read_text())
    for section, values in config.items():
        content["config"][section] = {**content["config"].get(section, {}), **values}
    stack.config_file.write_text(yaml.safe_dump(content, sort_keys=False))


def _build(api: docker.APIClient, instance: str) -> str:
    app = api.inspect_service(names.physical(instance, names.APP))  # type: ignore[no-untyped-call]
    base = app["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    lines: list[Any] = list(
        api.build(
            path=str(IMAGE_FOLDER),
            tag="pidea/bench:local",
            buildargs={"BASE": base},
            network_mode="host",
            rm=True,
            decode=True,
        )
    )
    for line in lines:
        if "error" in line:
            raise DeployError(f"The image of the load generators cannot be built: {line['error'].strip()}")
    return str(api.inspect_image("pidea/bench:local")["Id"])  # type: ignore[no-untyped-call]

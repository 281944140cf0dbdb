"""Another major version is no deployment like others: the server would find no rows, or could not read the files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from infra import names, servers
from infra.plan.images import major_of
from infra.spec import DeploymentPlan
from ops.cluster.members import MemberError
from ops.errors import OpsError, UsageError
from ops.stack.events import name_of
from ops.stack.reference import Stack
from ops.stack.state import State

# Asked of the servers themselves: an image's name says what was meant, not what runs.
_POSTGRES = ("psql", "-XAtq", "--username=postgres", "--dbname=postgres", "--command=SHOW server_version")
_REDIS = (
    *("bash", "-euo", "pipefail", "-c"),
    f"REDISCLI_AUTH=$(cat {names.secret_path(names.REDIS_EXPORTER_PASSWORD)}) redis-cli --no-auth-warning"
    f" --user {names.REDIS_EXPORTER_USERNAME} INFO server | sed -n 's/^redis_version:\\([0-9.]*\\).*/\\1/p'",
)
SERVERS = {names.POSTGRES: servers.POSTGRES, names.REDIS: servers.REDIS}


# Runs a command in the container of a service and gives its output; raises MemberError.
Run = Callable[[str, Sequence[str]], str]


def running(server: str, run: Run) -> str:
    """The version that the server says it has: `15.20`. Raises MemberError where it does not answer."""
    said = run(server, _POSTGRES if server == names.POSTGRES else _REDIS).split()
    if not said:
        raise MemberError(f"{server} does not say its version; see `./pidea logs` for why.")
    return said[0]


def deployed(state: State, server: str) -> str | None:
    """The major version in the image that Pulumi has made last; None where it has made none of ours."""
    for resource in state.resources:
        if resource.type == "docker:index/remoteImage:RemoteImage" and name_of(resource.urn) == f"image-{server}":
            arguments = (resource.inputs.get("build") or {}).get("buildArgs") or {}
            found = arguments.get(SERVERS[server].build_argument)
            return str(found) if found else None
    return None


def check(stack: Stack, plan: DeploymentPlan, state: State, run: Run) -> None:
    """Raises UsageError where a server would be replaced by one of another major version."""
    services = {spec.name for spec in plan.services}
    for name, server in SERVERS.items():
        there, asked = deployed(state, name), major_of(plan, name)
        if there is None or asked is None:
            continue
        if name in services:
            # Images come first: after an interrupted upgrade what was made last is not what runs.
            with contextlib.suppress(OpsError):
                there = server.major(running(name, run))
        if there == asked:
            continue
        back = " --back" if int(asked) < int(there) else ""
        raise UsageError(
            f"pidea:{name}, version, asks for {server.title} {asked}, and {there} is deployed: "
            f"`./pidea upgrade {stack.arguments} {name}{back}` makes that change, with the data "
            f"(docs/runbooks/upgrade-{name}.md); or put {there} back."
        )

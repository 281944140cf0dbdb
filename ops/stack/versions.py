"""Another major version is no deployment like others: the server would find no rows, or could not read the files."""

from __future__ import annotations

from infra import names, servers
from infra.plan.images import major_of
from infra.spec import DeploymentPlan
from ops.errors import UsageError
from ops.stack.events import name_of
from ops.stack.reference import Stack
from ops.stack.state import State

SERVERS = {names.POSTGRES: servers.POSTGRES, names.REDIS: servers.REDIS}


def deployed(state: State, server: str) -> str | None:
    """The major version in the image that Pulumi has made last; None where it has made none of ours."""
    for resource in state.resources:
        if resource.type == "docker:index/remoteImage:RemoteImage" and name_of(resource.urn) == f"image-{server}":
            arguments = (resource.inputs.get("build") or {}).get("buildArgs") or {}
            found = arguments.get(SERVERS[server].build_argument)
            return str(found) if found else None
    return None


def check(stack: Stack, plan: DeploymentPlan, state: State) -> None:
    """Raises UsageError where a server would be replaced by one of another major version."""
    for name, server in SERVERS.items():
        there, asked = deployed(state, name), major_of(plan, name)
        if there is None or asked is None or there == asked:
            continue
        back = " --back" if int(asked) < int(there) else ""
        raise UsageError(
            f"pidea:{name}, version, asks for {server.title} {asked}, and {there} is deployed: "
            f"`./pidea upgrade {stack.arguments} {name}{back}` makes that change, with the data "
            f"(docs/runbooks/upgrade-{name}.md); or put {there} back."
        )

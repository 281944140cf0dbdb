"""The stacks on a lab, and where they answer."""

from __future__ import annotations

from ops.lab.reference import Lab
from ops.lab.status import Status
from ops.stack import on_lab, settings
from ops.stack.reference import Stack


def urls(lab: Lab, found: Status) -> dict[str, str]:
    """The addresses of every stack on the lab, at each node that runs: `prod app n1` → URL. Nothing is asked."""
    made = {}
    for folder in on_lab.folders(lab.name, lab.local):
        for path in sorted(folder.glob("Pulumi.*.yaml")):
            environment = path.name.split(".")[1]
            plan = settings.plan_of(Stack(environment=environment, instance=lab.name, lab=lab.name, local=lab.local))
            scheme = "https" if plan.has_tls else "http"
            for title, port in zip(("app", "operators"), plan.published_ports, strict=False):
                for node in found.nodes:
                    if node.state == "running":
                        made[f"{environment} {title} {node.name}"] = f"{scheme}://{node.address}:{port}"
    return made

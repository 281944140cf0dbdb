"""CIS Docker Benchmark 1.6, sections 5 and 7: how each of its rules is judged, at preview or after the deployment."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A rule of the benchmark; the title is ours. `rules` judge it at preview.

    `beyond_preview` says what they cannot see, or why there are none: a smoke test judges it then.
    """

    id: str
    title: str
    rules: tuple[str, ...] = ()
    beyond_preview: str = ""

    @property
    def reference(self) -> str:
        """How a rule of ours names it."""
        return f"CIS Docker 1.6: {self.id}"

    @property
    def smoke_test(self) -> str:
        """The id of the smoke test; empty where the preview sees everything."""
        return f"cis-{self.id}" if self.beyond_preview else ""


TABLE: Final = (
    Row(
        id="5.1",
        title="Swarm mode is on only where it is needed",
        beyond_preview="The engine's mode is no resource. This platform needs Swarm.",
    ),
    Row(
        id="5.2",
        title="AppArmor confines every container",
        rules=("stays-confined",),
        beyond_preview="Services cannot name a profile: whether there is one, the node's kernel and engine decide.",
    ),
    Row(
        id="5.3",
        title="SELinux confines every container where the machine has it",
        rules=("stays-confined",),
        beyond_preview="Whether SELinux is on, the node's kernel and engine decide.",
    ),
    Row(id="5.4", title="Containers have only the capabilities that they need", rules=("drops-capabilities",)),
    Row(id="5.5", title="No container is privileged", rules=("not-privileged",)),
    Row(
        id="5.6",
        title="The machine's system folders are not mounted, or not writable",
        rules=("no-writable-host-folders",),
    ),
    Row(
        id="5.7",
        title="No SSH server runs in containers",
        rules=("no-remote-shell",),
        beyond_preview="What an image's entrypoint starts is seen in the container alone.",
    ),
    Row(id="5.8", title="No port below 1024 is published", rules=("only-edge-publishes",)),
    Row(id="5.9", title="Only ports that are needed are open", rules=("only-edge-publishes",)),
    Row(id="5.10", title="No container is on the machine's network", rules=("no-host-network",)),
    Row(id="5.11", title="Memory is limited", rules=("limits-set", "reserves-memory")),
    Row(id="5.12", title="Processor time is shared out", rules=("limits-set",)),
    Row(id="5.13", title="Root file systems are read-only", rules=("read-only-root",)),
    Row(
        id="5.14",
        title="Published ports are bound to one address of the machine",
        beyond_preview="A service cannot name an address: its ports are on all of them, which the firewall must know.",
    ),
    # The benchmark asks for five attempts at most; Swarm must go on, or a dependency that is late ends a service.
    Row(id="5.15", title="What fails is not restarted without end and pause", rules=("restarts-with-a-pause",)),
    Row(id="5.16", title="Containers do not see the machine's processes", rules=("own-namespaces",)),
    Row(id="5.17", title="Containers do not share the machine's IPC", rules=("own-namespaces",)),
    Row(id="5.18", title="Containers have no devices of the machine", rules=("no-host-devices",)),
    Row(
        id="5.19",
        title="The engine's limits are overridden only where that is needed",
        rules=("default-ulimits",),
        beyond_preview="A service cannot name limits: it has those that the node's engine gives.",
    ),
    Row(id="5.20", title="Mounts do not propagate to the machine", rules=("no-shared-propagation",)),
    Row(
        id="5.21",
        title="Containers have a host name of their own",
        beyond_preview="Neither services nor containers have a property for the UTS namespace.",
    ),
    Row(
        id="5.22",
        title="The default seccomp profile is on",
        rules=("stays-confined",),
        beyond_preview="Services cannot name a profile: the node's engine may have been started without one.",
    ),
    Row(
        id="5.23",
        title="Nobody executes commands in containers as privileged",
        beyond_preview="Commands are executed long after the preview; the engine's log tells of them.",
    ),
    Row(
        id="5.24",
        title="Nobody executes commands in containers as root",
        beyond_preview="Commands are executed long after the preview; the engine's log tells of them.",
    ),
    Row(
        id="5.25",
        title="Containers are in the control groups that Docker makes",
        rules=("own-cgroup",),
        beyond_preview="The node's engine can be told to put all containers elsewhere.",
    ),
    Row(
        id="5.26",
        title="Containers cannot gain rights",
        rules=("no-new-privileges",),
        beyond_preview="A service has no property for it: the node's engine decides.",
    ),
    Row(id="5.27", title="The health of containers is checked", rules=("has-health-check",)),
    Row(
        id="5.28",
        title="Images are those that were meant, and current",
        rules=("images-pinned", "images-from-allowed-sources", "no-mutable-tags"),
        beyond_preview="Whether a newer image with repairs exists, only a registry knows.",
    ),
    Row(
        id="5.29",
        title="The number of processes is limited",
        beyond_preview="The provider has no property for it, neither on services nor on containers.",
    ),
    Row(
        id="5.30",
        title="Containers are not on Docker's default network",
        rules=("not-on-default-bridge",),
        beyond_preview="A network may be attached after the deployment.",
    ),
    Row(id="5.31", title="Containers do not share the machine's user namespace", rules=("own-namespaces",)),
    Row(id="5.32", title="No container has the engine's socket", rules=("no-engine-socket",)),
    Row(
        id="7.1",
        title="A swarm has as many managers as it needs, and no more",
        beyond_preview="Managers are no resource; the swarm tells how many there are.",
    ),
    Row(
        id="7.2",
        title="The swarm listens on one address of the machine",
        beyond_preview="The address is given when a machine joins the swarm, before there is a stack.",
    ),
    Row(id="7.3", title="Overlay networks are encrypted", rules=("networks-encrypted",)),
    Row(
        id="7.4",
        title="Secrets are kept by Swarm",
        rules=("no-secrets-in-plain-sight", "secrets-mounted-strictly"),
    ),
    Row(
        id="7.5",
        title="Managers are locked when they restart",
        beyond_preview="The lock is a setting of the swarm, not of a resource.",
    ),
    Row(
        id="7.6",
        title="The key of the lock is changed from time to time",
        beyond_preview="The key's age is nowhere but in the operators' records.",
    ),
    Row(
        id="7.7",
        title="Nodes' certificates are changed from time to time",
        beyond_preview="Their life is a setting of the swarm, not of a resource.",
    ),
    Row(
        id="7.8",
        title="The swarm's own authority is changed from time to time",
        beyond_preview="The certificate of the authority is the swarm's, not a resource.",
    ),
    Row(
        id="7.9",
        title="Managing traffic and data go different ways",
        beyond_preview="The data path's address is given when a machine joins the swarm.",
    ),
)

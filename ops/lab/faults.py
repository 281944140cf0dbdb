"""Faults of a lab's nodes, each a function that orders one and says what it did; `heal` takes back what stays.

Rules in the nodes' packet filters carry a comment of ours, and only rules with that comment are ever removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator, Sequence

import docker

from infra.spec import MIB
from ops.errors import HostError, UsageError
from ops.lab import machine, record, shell
from ops.lab.record import Record
from ops.lab.reference import Lab, node_name, slot_of
from ops.stack import swarm

_COMMENT = "pidea-lab"
_INTERFACE = "eth0"
_FILLER = "/mnt/volumes/filler"
# The mangle table sees what the node sends and receives itself, what it forwards for its containers, and the overlay
# networks' packets, and sees addresses as they are on the wire: before or after every translation.
_RECEIVED, _SENT = "PREROUTING", "POSTROUTING"
_RUNNING, _PAUSED = "running", "paused"
_FREEZES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """What was done: `kind` (`kill`, `heal`, …), the node, details in plain words, and when and how long it took.

    `at` is the time.time() at which it had taken effect.
    """

    kind: str
    node: str
    detail: str
    at: float
    seconds: float


def kill(lab: Lab, node: str) -> Fault:
    """Loss of power: every process of the node ends at once, and what was not yet written is lost."""
    return _on_container(lab, node, "kill", (_RUNNING, _PAUSED), lambda api, name: api.kill(name, "SIGKILL"))


def stop(lab: Lab, node: str) -> Fault:
    """An orderly shutdown: the engine ends its containers first."""
    return _on_container(lab, node, "stop", (_RUNNING,), lambda api, name: api.stop(name))


def start(lab: Lab, node: str) -> Fault:
    """Switches a node on again. Returns when its engine answers; the swarm needs some seconds more."""
    from ops.lab import members

    def act(api: docker.APIClient, name: str) -> None:
        api.start(name)
        members.wait_for_engine(lab, slot_of(node, record.require(lab).nodes))

    return _on_container(lab, node, "start", ("exited", "created"), act)


def pause(lab: Lab, node: str) -> Fault:
    """The node stands still as a virtual machine does while it is moved; its connections stay open, unanswered."""
    return _on_container(lab, node, "pause", (_RUNNING,), freeze)


def unpause(lab: Lab, node: str) -> Fault:
    """Lets a paused node go on."""
    return _on_container(lab, node, "unpause", (_PAUSED,), lambda api, name: api.unpause(name))


def partition(lab: Lab, node: str, others: Sequence[str] = (), *, one_way: bool = False) -> Fault:
    """Cuts the node off from `others`, from all other nodes where none is named. This machine still reaches it.

    `one_way`: what the node sends is lost, what the others send arrives.
    """
    with _node(lab, node, "partition") as (api, known, slot, done):
        peers = [slot_of(other, known.nodes) for other in others] or [one for one in known.slots if one != slot]
        if slot in peers:
            raise UsageError(f"{node_name(slot)} cannot be cut off from itself; name other nodes with --from.")
        _remove_rules(api, lab.container(slot), "partition")
        ways = [(_SENT, "-d")] if one_way else [(_SENT, "-d"), (_RECEIVED, "-s")]
        matches = [(chain, [option, known.address(peer)]) for peer in peers for chain, option in ways]
        _add_rules(api, lab.container(slot), matches, "partition")
        way = "sends nothing to" if one_way else "is cut off from"
        return done(f"{way} {', '.join(map(node_name, sorted(peers)))}")


def slow(
    lab: Lab, node: str, *, loss_percent: float = 0.0, rate_kbit: int | None = None, delay_ms: int | None = None
) -> Fault:
    """Makes the node's network bad: packets lost both ways, less bandwidth, delay of what it sends.

    Raises UsageError where nothing is asked for, HostError for what this kernel cannot do.
    """
    if not 0 <= loss_percent < 100:
        raise UsageError(f"--loss is a percentage from 0 to below 100, not {loss_percent:g}.")
    if rate_kbit is not None and rate_kbit < 1:
        raise UsageError(f"--rate is at least 1 kbit/s, not {rate_kbit}.")
    if delay_ms is not None and rate_kbit is not None:
        raise UsageError("--rate and --delay cannot be combined; choose one, with or without --loss.")
    if not loss_percent and rate_kbit is None and delay_ms is None:
        raise UsageError("Say how: --loss PERCENT, --rate KBIT or --delay MS.")
    with _node(lab, node, "slow") as (api, _, slot, done):
        container, said = lab.container(slot), []
        if rate_kbit is not None:
            # A burst of a packet at least, and a queue of half a second; what is beyond is lost, as on a real line.
            burst = max(1600, rate_kbit * 1000 // 8 // 50)
            _shape(api, container, "tbf", "rate", f"{rate_kbit}kbit", "burst", str(burst), "latency", "500ms")
            said.append(f"sends at most {rate_kbit} kbit/s")
        if delay_ms is not None:
            _shape(api, container, "netem", "delay", f"{delay_ms}ms")
            said.append(f"sends {delay_ms} ms late")
        if loss_percent:
            _remove_rules(api, container, "loss")
            chance = ["-m", "statistic", "--mode", "random", "--probability", f"{loss_percent / 100:.6f}"]
            matches = [(chain, [way, _INTERFACE, *chance]) for chain, way in ((_SENT, "-o"), (_RECEIVED, "-i"))]
            _add_rules(api, container, matches, "loss")
            said.append(f"loses {loss_percent:g} % of packets each way")
        return done(", ".join(said))


def disk_full(lab: Lab, node: str) -> Fault:
    """Fills the file system on which the node's volumes are, to the last byte; nothing else of this machine's."""
    with _node(lab, node, "disk-full") as (api, _, slot, done):
        script = (
            f"free=$(df --output=avail -B1 /mnt/volumes | tail -1); fallocate -l $free {_FILLER} 2>/dev/null; "
            f"cat /dev/zero 2>/dev/null >>{_FILLER}; true"
        )
        shell.run(api, lab.container(slot), "sh", "-c", script)
        filled = int(shell.ask(api, lab.container(slot), f"stat -c %s {_FILLER}"))
        return done(f"{filled // MIB} MiB filled, nothing free for volumes")


def disk_free(lab: Lab, node: str) -> Fault:
    """Takes back `disk_full`."""
    with _node(lab, node, "disk-free") as (api, _, slot, done):
        shell.run(api, lab.container(slot), "rm", "-f", _FILLER)
        return done("volumes have space again")


def heal(lab: Lab, node: str) -> Fault:
    """Takes back partition, slow and disk-full of the node; what is killed, stopped or paused stays so."""
    with _node(lab, node, "heal") as (api, _, slot, done):
        container = lab.container(slot)
        ended = of_node(api, container)
        _remove_rules(api, container)
        if "slow" in ended:
            shell.attempt(api, container, "tc", "qdisc", "del", "dev", _INTERFACE, "root")
        shell.run(api, container, "rm", "-f", _FILLER)
        return done(f"ended: {', '.join(ended)}" if ended else "there was nothing to end")


def of_node(api: docker.APIClient, container: str) -> list[str]:
    """The faults that a running node has, of `partition`, `slow` and `disk-full`."""
    script = (
        "iptables -w -t mangle -S; "
        f"tc qdisc show dev {_INTERFACE} root | grep -E 'tbf|netem' | sed 's/^/shaped /'; "
        f"[ ! -e {_FILLER} ] || echo filled"
    )
    said = shell.ask(api, container, script).splitlines()
    found = {
        "partition": any(f"{_COMMENT}:partition" in line for line in said),
        "slow": any(f"{_COMMENT}:loss" in line or line.startswith("shaped ") for line in said),
        "disk-full": "filled" in said,
    }
    return [kind for kind, there in found.items() if there]


@contextlib.contextmanager
def _node(lab: Lab, node: str, kind: str) -> Iterator[tuple[docker.APIClient, Record, int, Callable[[str], Fault]]]:
    """A running node. Gives the lab's engine, its record, the node's slot, and what makes the result."""
    known = record.require(lab)
    slot, started = slot_of(node, known.nodes), time.monotonic()
    with swarm.client(where=machine.of(known)) as api:
        _require_state(api, lab, slot, (_RUNNING,))

        def done(detail: str) -> Fault:
            seconds = time.monotonic() - started
            return Fault(kind=kind, node=node_name(slot), detail=detail, at=time.time(), seconds=seconds)

        yield api, known, slot, done


def freeze(api: docker.APIClient, container: str) -> None:
    """Pauses a container. The kernel may not get hold of every process of a busy one in time: then none stands."""
    for left in range(_FREEZES - 1, -1, -1):
        try:
            api.pause(container)
        except docker.errors.APIError as error:
            if left == 0 or "unable to freeze" not in str(error):
                raise
        else:
            return


def _on_container(
    lab: Lab, node: str, kind: str, states: Sequence[str], act: Callable[[docker.APIClient, str], None]
) -> Fault:
    known = record.require(lab)
    slot, started = slot_of(node, known.nodes), time.monotonic()
    with swarm.client(where=machine.of(known)) as api:
        state = _require_state(api, lab, slot, states)
        act(api, lab.container(slot))
    seconds = time.monotonic() - started
    return Fault(kind=kind, node=node_name(slot), detail=f"was {state}", at=time.time(), seconds=seconds)


def _require_state(api: docker.APIClient, lab: Lab, slot: int, states: Sequence[str]) -> str:
    try:
        state = str(api.inspect_container(lab.container(slot))["State"]["Status"])
    except docker.errors.NotFound:
        raise HostError(
            f"Node {node_name(slot)} is gone; take the lab down (`./pidea lab down{lab.arguments}`) and up again."
        ) from None
    if state not in states:
        raise HostError(f"Node {node_name(slot)} is {state}, and for this it must be {' or '.join(states)}.")
    return state


def _add_rules(api: docker.APIClient, container: str, matches: Sequence[tuple[str, Sequence[str]]], kind: str) -> None:
    tag = ["-m", "comment", "--comment", f"{_COMMENT}:{kind}"]
    _change(api, container, [shlex.join(["-A", chain, *match, *tag, "-j", "DROP"]) for chain, match in matches])


def _remove_rules(api: docker.APIClient, container: str, kind: str = "") -> None:
    rules = shell.ask(api, container, "iptables -w -t mangle -S").splitlines()
    ours = [rule for rule in rules if f"{_COMMENT}:{kind}" in rule and rule.startswith("-A ")]
    if ours:
        _change(api, container, [f"-D {rule.removeprefix('-A ')}" for rule in ours])


def _change(api: docker.APIClient, container: str, changes: Sequence[str]) -> None:
    """All at once: a network that fails does not lose one neighbour half a second before the next."""
    table = "\n".join(["*mangle", *changes, "COMMIT"])
    shell.run(api, container, "sh", "-c", f"iptables-restore -w --noflush <<'END'\n{table}\nEND")


def _shape(api: docker.APIClient, container: str, kind: str, *how: str) -> None:
    code, said = shell.attempt(api, container, "tc", "qdisc", "replace", "dev", _INTERFACE, "root", kind, *how)
    if code and "unknown" in said:
        raise HostError(
            f"This machine's kernel has no {kind} (a queueing discipline that tc can use), so that "
            f"{'delay' if kind == 'netem' else 'a rate'} is not available; use "
            f"{'--loss or --rate' if kind == 'netem' else '--loss'}."
        )
    if code:
        raise HostError(f"The node's network could not be shaped: {said.strip()}")

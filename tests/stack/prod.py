"""The instance of the prod stack that a test run brings up, on a lab of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from ops.host.endpoint import Endpoint
from ops.lab import endpoint, record, reference
from ops.lab.reference import Lab
from ops.stack import target
from ops.stack.reference import resolve
from tests.stack import commands, instance
from tests.stack.instance import Instance

LAB_SECONDS = 600.0


class Prod(Instance):
    """Prod on the lab that has the instance's name. What there is of the lab is removed together with the stack."""

    @classmethod
    def named(cls, role: str) -> Prod:
        """The instance of prod for `role` in the tests of this checkout."""
        return cls(resolve("prod", instance.name_for(role), lab=True))

    @property
    def lab(self) -> Lab:
        """The lab, up or not."""
        return reference.resolve(str(self.stack.lab))

    @property
    def manager(self) -> Endpoint:
        """The engine that manages the swarm just now; waits for an election that is under way."""
        return target.endpoint_of(self.stack)

    @property
    def engines(self) -> Mapping[str, Endpoint]:
        """The engine of each node of the lab."""
        slots = record.require(self.lab).slots
        return {reference.node_name(slot): endpoint.of_node(self.lab, slot) for slot in slots}

    def address(self, slot: int) -> str:
        """The address of a node, at which its edge answers this machine too."""
        return record.require(self.lab).address(slot)

    def command(self, name: str, *options: str) -> list[str]:
        """`./pidea NAME prod --instance …`; `up` is told that it is a lab's, the others know."""
        return super().command(name, *(["--lab"] if name == "up" else []), *options)

    def lab_command(self, name: str, *arguments: str) -> commands.Finished:
        """`./pidea lab NAME … --name …`; fails the test where it does not go through."""
        done = commands.run(["./pidea", "lab", name, *arguments, "--name", self.lab.name], timeout_seconds=LAB_SECONDS)
        assert done.code == 0, done.text
        return done

    def ensure_up(self) -> None:
        """Brings the lab and the stack up where they are not, or not as the configuration says."""
        if not self.is_current:
            self.lab_command("up")
        super().ensure_up()

    def remove(self) -> None:
        """Takes the lab down, and with it everything that was on it."""
        self.forget()
        self.lab_command("down")


@contextlib.contextmanager
def for_tests() -> Iterator[Prod]:
    """The one instance of prod of a test run; see `instance.alone`."""
    with instance.alone(Prod.named("prod"), "prod-tests") as made:
        yield made

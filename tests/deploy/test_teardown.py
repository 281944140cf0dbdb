"""`destroy` keeps the data, and with `--with-data` keeps nothing."""

from __future__ import annotations

from infra import outputs as keys
from tests.invariants import wait_until_healthy
from tests.stack.endpoints import Endpoints
from tests.stack.instance import Instance
from tests.stack.remains import remains


def test_data_outlives_the_services_until_it_is_to_go(stack: Instance) -> None:
    """One test for both, since each needs a stack that is up, and the second leaves none."""
    outputs = stack.outputs()
    url = Endpoints(outputs).messages()
    Endpoints(outputs).write(url, "will you wait for me?")

    gone = stack.pidea("destroy")
    assert gone.code == 0, gone.text
    volumes = {f"volume {name}" for name in outputs[keys.VOLUMES].values()}
    assert set(remains(stack.prefix)) == volumes

    stack.up()
    wait_until_healthy(stack.outputs())
    assert Endpoints(stack.outputs()).contents(url) == ["will you wait for me?"]

    asked = stack.pidea("destroy", "--with-data")
    assert asked.code == 2, asked.text
    assert "--yes" in asked.errors
    assert Endpoints(stack.outputs()).contents(url) == ["will you wait for me?"]

    gone = stack.pidea("destroy", "--with-data", "--yes")
    assert gone.code == 0, gone.text
    assert remains(stack.prefix) == []
    assert not stack.stack.folder.exists()

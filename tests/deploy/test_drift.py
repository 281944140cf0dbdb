"""What was changed by hand is found and put right by the next `up`."""

from __future__ import annotations

from infra import names
from ops.stack import swarm
from tests.invariants import wait_until_healthy
from tests.stack.instance import Instance
from tests.stack.waiting import wait_until


def test_a_scaled_and_a_removed_service_are_healed(stack: Instance) -> None:
    """Both by one `up`: each takes half a minute."""
    app, exporter = (names.physical(stack.prefix, name) for name in (names.APP, names.REDIS_EXPORTER))
    with swarm.client() as api:
        spec = api.inspect_service(app)  # type: ignore[no-untyped-call]
        stack.forget()
        api.update_service(
            spec["ID"],
            version=spec["Version"]["Index"],
            name=app,
            task_template=spec["Spec"]["TaskTemplate"],
            mode={"Replicated": {"Replicas": 1}},
            update_config=spec["Spec"]["UpdateConfig"],
            rollback_config=spec["Spec"]["RollbackConfig"],
            endpoint_spec=spec["Spec"]["EndpointSpec"],
            labels=spec["Spec"]["Labels"],
        )
        api.remove_service(exporter)  # type: ignore[no-untyped-call]
        wait_until(lambda: len(swarm.services(api, stack.prefix)[app].running) == 1, "one replica is left")

    shown = stack.pidea("status", "--json")
    assert shown.code == 1
    assert shown.json["healthy"] is False
    previewed = stack.pidea("preview", "--refresh", "--expect-no-changes", "--json")
    assert previewed.code == 1, previewed.text
    assert previewed.json["changes"]

    healed = stack.up().json
    assert healed["changes"].get("update") == 1, healed
    assert healed["changes"].get("create") == 1, healed
    wait_until_healthy(stack.outputs())
    with swarm.client() as api:
        now = swarm.services(api, stack.prefix)
    assert (len(now[app].running), len(now[exporter].running)) == (2, 1)

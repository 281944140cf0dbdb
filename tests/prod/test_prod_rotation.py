"""Every password is rotated while the stack is used, and nobody notices."""

from __future__ import annotations

import contextlib

import pytest

from infra import names
from tests.deploy.traffic import Traffic
from tests.invariants import wait_until_whole
from tests.stack.endpoints import Endpoints
from tests.stack.passwords import passwords
from tests.stack.prod import Prod

# Two rotations, of each member of each cluster.
pytestmark = [pytest.mark.operations, pytest.mark.timeout(2400)]


def test_passwords_are_rotated_without_a_failed_request(prod: Prod) -> None:
    prod.ensure_up()
    wait_until_whole(prod)
    outputs, old = prod.outputs(), passwords(prod)
    users = [Traffic(Endpoints(outputs, host=prod.address(slot))) for slot in (1, 2, 3)]
    endpoints = Endpoints(outputs, host=prod.address(1))
    chat = endpoints.messages()
    endpoints.write(chat, "before the rotation")

    with prod.configured({"pidea:secretsVersion": 2}), contextlib.ExitStack() as stack:
        for user in users:
            stack.enter_context(user)
        prod.up()
        wait_until_whole(prod)
    # They had the token of before all the time. An edge with new operators is a new one: whoever has several addresses
    # asks the next one meanwhile.
    refused = "NewConnectionError"
    assert [failure for user in users for failure in user.failures if refused not in failure] == []
    assert sum(user.requests for user in users) > 1000
    kept = old.pop(names.BACKUP_REPOSITORY_PASSWORD)
    new = passwords(prod)
    assert new.pop(names.BACKUP_REPOSITORY_PASSWORD) == kept
    assert not set(old.values()) & set(new.values())

    # Back, as after a rotation that was a mistake: everything is as it was.
    prod.up()
    wait_until_whole(prod)
    assert passwords(prod) == {**old, names.BACKUP_REPOSITORY_PASSWORD: kept}
    assert endpoints.contents(chat) == ["before the rotation"]

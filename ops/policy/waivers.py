"""The exceptions from the rules, read before Pulumi is: what its pack says when it cannot start, nobody gets to see."""

from __future__ import annotations

import datetime

from ops.errors import UsageError
from policies import exceptions
from policies.catalogue import RULES
from policies.exceptions import Waiver


def current(environment: str) -> list[Waiver]:
    """The exceptions of an environment that have not ended. Raises UsageError where the file is not right."""
    try:
        waivers = exceptions.load(RULES)
    except exceptions.ExceptionsError as error:
        raise UsageError(f"The exceptions from the policies cannot be used; nothing was touched.\n{error}") from None
    today = datetime.datetime.now(datetime.UTC).date()
    return [waiver for waiver in waivers if waiver.environment == environment and waiver.expires >= today]

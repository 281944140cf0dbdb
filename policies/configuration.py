"""What the pack's configuration may say. Pulumi checks levels and types, and passes over names that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import grpc
from pulumi_policy import policy as sdk

from policies.catalogue import RULES

# Pulumi's own word for all rules at once; levels alone can be said of it.
ALL: Final = "all"


def problems(given: Mapping[str, Collection[str]]) -> list[str]:
    """What is wrong with the names of rules, each with the names of the parameters that are given for it."""
    found = []
    for rule, parameters in given.items():
        if rule == ALL:
            found += [f"{ALL}.{name}: parameters are given rule by rule" for name in parameters]
        elif rule not in RULES:
            found.append(f"{rule}: there is no such rule{_meant(rule, RULES)}; `./pidea policy explain` lists them")
        else:
            known = RULES[rule].parameters
            has = f"it has {', '.join(known)}" if known else "it has none"
            found += [
                f"{rule}.{name}: the rule has no such parameter; {has}" for name in parameters if name not in known
            ]
    return found


def refuse_unknown_names() -> None:
    """A run whose configuration says what nobody reads ends before anything is judged. Call it before PolicyPack.

    A rule that was switched off by a misspelt name would be on, and one that was to be harder would be as before. The
    SDK has no place for such a check; this is where the engine hands the configuration over.
    """
    servicer = sdk._PolicyAnalyzerServicer
    configure: Callable[[Any, Any, Any], Any] = servicer.Configure

    def checked(self: Any, request: Any, context: Any) -> Any:
        found = problems({rule: list(config.properties) for rule, config in request.policyConfig.items()})
        if found:
            text = "\n".join(
                ["the policy pack's configuration says what nobody reads:", *(f"  {one}" for one in found)]
            )
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        return configure(self, request, context)

    servicer.Configure = checked  # type: ignore[method-assign]


def _meant(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""

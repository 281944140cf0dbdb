"""The policy pack's entry point: constructs the pack, nothing else. Importing it starts a server and never returns."""

import sys
from pathlib import Path

# The engine puts this folder on the path; everything else imports from the one above it.
here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

from pulumi_policy import (  # noqa: E402 - only now can our own be found
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

from policies.rules import rollback  # noqa: E402


def rollback_can_work(args: ResourceValidationArgs, report: ReportViolation) -> None:
    """Reports what keeps a service's update from rolling back."""
    if args.resource_type == rollback.SERVICE:
        for problem in rollback.problems(args.props):
            report(f"{args.name} {problem}.", None)


PolicyPack(
    name="pidea",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            name="rollback-can-work",
            description="The update of every service is watched long enough to notice a failure, and rolled back then.",
            validate=rollback_can_work,
        ),
    ],
)

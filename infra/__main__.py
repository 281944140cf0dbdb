"""Pulumi's entry point."""

import sys
from pathlib import Path

# Pulumi puts this folder on the path; the program imports from the one above it, as everything else does.
here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

from infra.program import deploy  # noqa: E402 - only now can it be found

deploy()

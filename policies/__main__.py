"""The policy pack's entry point: constructs the pack, nothing else. Importing it starts a server and never returns."""

import datetime
import json
import os
import sys
from pathlib import Path

# The engine puts this folder on the path; everything else imports from the one above it.
here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

from pulumi_policy import PolicyPack  # noqa: E402 - only now can our own be found

from policies.configuration import refuse_unknown_names  # noqa: E402
from policies.exceptions import ExceptionsError  # noqa: E402
from policies.pack import Pack  # noqa: E402
from policies.reading import read_once  # noqa: E402

# `./pidea` says which environment it is, and some engines do. Where nobody does, the strictest counts.
config = json.loads(os.environ.get("PULUMI_CONFIG") or "{}")
environment = os.environ.get("PIDEA_POLICY_ENVIRONMENT") or config.get("pidea:environment", "prod")
try:
    pack = Pack(environment, datetime.datetime.now(datetime.UTC).date())
except ExceptionsError as error:
    sys.exit(f"error: {error}")
refuse_unknown_names()
read_once()
PolicyPack(name="pidea", policies=pack.policies)

"""The environment in which Pulumi runs, put together in this one place: for our commands and for `./pidea env`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ops import toolchain
from ops.errors import HostError
from ops.host import endpoint
from ops.host.endpoint import Endpoint
from ops.paths import REPO
from ops.stack.backend import Backend
from ops.stack.reference import Stack

CONFIG_FILE = "PULUMI_OPTION_CONFIG_FILE"
SHIM_FOLDER = Path(__file__).resolve().parent / "bin"


def tools() -> toolchain.Toolchain:
    """The toolchain. Raises HostError where it has not been set up."""
    try:
        found = toolchain.find()
    except toolchain.ToolchainError as error:
        raise HostError(str(error)) from error
    if found is None:
        raise HostError("The Pulumi toolchain is not there yet; run `./pidea setup` first.")
    return found


def variables(
    tools: toolchain.Toolchain,
    backend: Backend,
    engine: Endpoint | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Every variable that differs from `environ` for Pulumi to work on `engine`, with the full new PATH.

    Without `engine` it is the one that the docker command line would use.
    """
    ours = [str(Path(sys.executable).parent), *(str(entry) for entry in tools.path_entries)]
    skip = {*ours, str(SHIM_FOLDER)}
    theirs = [entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry not in skip]
    # An official CLI runs dynamic providers in the program's folder; ours are found from the repository's root.
    official = {"PYTHONPATH": str(REPO)} if tools.methods["pulumi"] != "source" else {}
    return {
        **tools.env,
        **official,
        **backend.variables,
        **(engine or endpoint.resolve(environ)).environment,
        "PATH": os.pathsep.join([*ours, *theirs]),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Unknown Outputs in an f-string become an error, not the text "Calling __str__ on an Output".
        "PULUMI_ERROR_OUTPUT_STRING": "true",
    }


def for_process(
    tools: toolchain.Toolchain,
    backend: Backend,
    engine: Endpoint | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The whole environment of a Pulumi process that we start."""
    whole = {**environ, **variables(tools, backend, engine, environ)}
    whole.pop(CONFIG_FILE, None)  # we name the file on the command line; a shell's `./pidea env` may say another
    whole["PULUMI_DEBUG_COMMANDS"] = "true"  # the CLI offers --event-log only then
    return whole


def for_shell(
    tools: toolchain.Toolchain,
    backend: Backend,
    stack: Stack | None,
    engine: Endpoint | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """What a shell needs so that plain `pulumi` does what our commands do."""
    exported = variables(tools, backend, engine, environ)
    if stack is not None and stack.instance is not None:
        exported[CONFIG_FILE] = str(stack.config_file)
    elif backend.is_ours:
        exported["PATH"] = os.pathsep.join([str(SHIM_FOLDER), exported["PATH"]])
    return exported

"""Runs a Pulumi program in a process of its own. Started by the host as a script, which writes JSON to its input:

    {"program": path, "settings": arguments of pulumi.runtime.Settings, "config": {}, "secret_keys": []}

Through a pipe, since the configuration has decrypted secrets: other processes of the user can read the environment and
the arguments of this one, and whatever it starts inherits the first.
"""

import asyncio
import json
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Understood by the host: the engine was told what went wrong, and needs no further message.
EXIT_REPORTED = 32
# As many threads per parallel operation as the official host allows for the SDK's blocking calls.
_THREADS_PER_OPERATION = 4


class _ExitError(Exception):
    """Raised in place of SystemExit, which asyncio would let through without awaiting what it has begun."""

    def __init__(self, code: int | str) -> None:
        super().__init__(code)
        self.code = code


def main() -> int:
    """Run the program that the input describes; the exit code is 0 or EXIT_REPORTED."""
    request = json.load(sys.stdin)
    # A script's folder comes first on the search path; this one's modules are none of the program's business.
    del sys.path[0]
    try:
        import pulumi
        from pulumi import runtime
    except ImportError as error:
        print(f"{error}: {sys.executable} has no Pulumi SDK. Run `pulumi install`.", file=sys.stderr)
        return 1
    program = request["program"]
    if Path(program).is_dir() and not Path(program, "__main__.py").exists():
        print(f"There is no program in {program}: it has no __main__.py.", file=sys.stderr)
        return 1
    sys.argv = [program]
    runtime.set_all_config(request["config"], request["secret_keys"])
    settings = runtime.Settings(**request["settings"])
    runtime.configure(settings)
    try:
        _run(program, runtime, settings)
    except _ExitError as error:
        if isinstance(error.code, str):
            pulumi.log.error(error.code)
            return EXIT_REPORTED
        return error.code
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return EXIT_REPORTED
    except Exception as error:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _program_traceback(error, program))
        return EXIT_REPORTED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _run(program: str, runtime: Any, settings: Any) -> None:
    # The SDK leaves futures unobserved when a program fails, and asyncio would log each of them.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with ThreadPoolExecutor(max_workers=max(settings.parallel or 1, 1) * _THREADS_PER_OPERATION) as threads:
        loop.set_default_executor(threads)
        try:
            loop.run_until_complete(runtime.run_in_stack(lambda: _execute(program)))
        finally:
            loop.close()


def _execute(program: str) -> None:
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as error:
        if error.code:
            raise _ExitError(error.code) from error


def _program_traceback(error: Exception, program: str) -> str:
    """The traceback from the program's first line on, without the frames of the SDK and this file that led there."""
    folder = Path(program)
    folder = folder if folder.is_dir() else folder.parent
    frame = error.__traceback__
    while frame and not Path(frame.tb_frame.f_code.co_filename).is_relative_to(folder):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))


if __name__ == "__main__":
    sys.exit(main())

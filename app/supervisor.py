"""Several worker processes behind one listening socket, for hosts where one replica may use several cores."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

EXIT_WORKER_DIED = 1


def supervise(workers: int, run_worker: Callable[[int], int]) -> int:
    """Fork the workers, hand on SIGTERM and SIGINT, and return the exit code for the whole.

    A worker that ends without being asked to takes the others with it, politely: the orchestrator then replaces the
    container, and its restart policy and its back-off are the only ones. Call it before there are threads.
    """
    children: dict[int, int] = {}
    stopping = False

    def hand_on(number: int, _: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for process in children:
            os.kill(process, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    for index in range(workers):
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = EXIT_WORKER_DIED
            try:
                code = run_worker(index)
            finally:
                # Not sys.exit: the stack above belongs to the parent.
                os._exit(code)
        children[process] = index
        if stopping:
            hand_on(signal.SIGTERM, None)
    worst = 0
    while children:
        process, status = os.wait()
        if process not in children:
            continue
        index = children.pop(process)
        code = os.waitstatus_to_exitcode(status)
        if not stopping:
            log.critical("worker %d of %d ended with code %d: stopping the others", index, workers, code)
            worst = code if code > 0 else EXIT_WORKER_DIED
            hand_on(signal.SIGTERM, None)
        elif code > 0:
            worst = max(worst, code)
    return worst

"""Starts the service and tells the engine its port."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc

from .protocol import language_grpc
from .service import LanguageHost

# As large as the engine's own: a program's configuration and a plugin's output travel in single messages.
_MESSAGE_BYTES = 400 << 20
_POLL_SECONDS = 1.0


def main() -> None:
    """Serve until the engine says to stop, or is gone."""
    # Flags for tracing and logging come first; the engine's address is always last.
    engine_address = sys.argv[-1] if len(sys.argv) > 1 else ""
    engine = os.getppid()
    server = grpc.server(
        # A run, a plugin and the questions about them are open at the same time.
        ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
    )
    language_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(engine_address), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    print(port, flush=True)
    # A killed engine says nothing; its orphans get another parent.
    while not stop.wait(_POLL_SECONDS) and os.getppid() == engine:
        pass
    # Ends the open calls, and so the programs and plugins that they started.
    server.stop(grace=0).wait()

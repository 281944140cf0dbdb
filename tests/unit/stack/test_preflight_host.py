"""What is checked of the machine, with real listeners and the real disk."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from ops.errors import HostError
from ops.stack import preflight


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_something_listens_on_is_taken(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(HostError, match=f"Port {port} is already taken") as caught:
            preflight.check_port(port)
    # Only root may always see whose socket it is; our own process's is seen by everybody.
    assert f"(pid {os.getpid()})" in str(caught.value)


def test_a_port_whose_listener_has_ended_is_free() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        # A connection that the server closed first lingers; it must not make the port look taken.
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()
    preflight.check_port(port)


def test_a_full_disk_is_told_with_both_numbers(tmp_path: Path) -> None:
    preflight.check_disk(tmp_path / "not" / "there", 1)
    with pytest.raises(HostError, match=r"has \d+ MiB free, and images and data need \d+ MiB"):
        preflight.check_disk(tmp_path, 2**60)


def test_too_little_memory_is_told_with_both_numbers() -> None:
    preflight.check_memory(1)
    with pytest.raises(HostError, match=r"\d+ MiB of memory are available, and the services to start reserve \d+ MiB"):
        preflight.check_memory(psutil.virtual_memory().total * 2)

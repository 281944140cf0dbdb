"""Prints the metrics of every replica of a service, one after the other: `scrape.py SERVICE`."""

from __future__ import annotations

import socket
import sys
import urllib.request

if __name__ == "__main__":
    for address in sorted({info[4][0] for info in socket.getaddrinfo(f"tasks.{sys.argv[1]}", 8080)}):
        with urllib.request.urlopen(f"http://{address}:8080/metrics", timeout=10) as answer:
            print(answer.read().decode(), "# EOF-REPLICA", sep="\n")

"""Prints, as JSON, a client's id for each arm of the service's experiment: `arms.py HOST`. Environment: TOKEN."""

from __future__ import annotations

import http.client
import json
import os
import sys

# Enough to meet every arm that has a fair share.
CLIENTS = 200

if __name__ == "__main__":
    arms: dict[str, str] = {}
    backend = http.client.HTTPConnection(sys.argv[1], 8080, timeout=10)
    for number in range(CLIENTS):
        headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Client-Id": f"bench-{number}"}
        backend.request("GET", "/api/chats?limit=1", headers=headers)
        answer = backend.getresponse()
        answer.read()
        arms.setdefault(answer.headers["X-Variant"], f"bench-{number}")
    print(json.dumps(arms))

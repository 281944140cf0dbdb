"""Prints, as JSON, a client's id for each arm of the service's experiment: `arms.py HOST`. Environment: TOKEN."""

from __future__ import annotations

import json
import os
import sys
import urllib.request

# Enough to meet every arm that has a fair share.
CLIENTS = 200

if __name__ == "__main__":
    arms: dict[str, str] = {}
    for number in range(CLIENTS):
        headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Client-Id": f"bench-{number}"}
        request = urllib.request.Request(f"http://{sys.argv[1]}:8080/api/chats?limit=1", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            arms.setdefault(answer.headers["X-Variant"], f"bench-{number}")
    print(json.dumps(arms))

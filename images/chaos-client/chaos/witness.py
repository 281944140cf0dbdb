"""What becomes of alerts: a receiver of pages, and an eye on every Prometheus; one line a page and a change of state.

In the stack, because pages are delivered there, and because the way in may be what is broken.
"""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from chaos.lines import reason, tell

PORT = int(os.environ.get("WITNESS_PORT", "9999"))
LOOK_SECONDS = 0.5
ANSWER_SECONDS = 3.0
# A page about an alert with this label is not taken: what a receiver that is out of order does.
REFUSED = "refused"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes Alertmanager's webhook."""

    def do_POST(self) -> None:
        """Tells each alert of a page."""
        at = time.time()
        page = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = any(REFUSED in alert["labels"] for alert in page["alerts"])
        if not refused:
            for alert in page["alerts"]:
                tell("page", at=at, status=alert["status"], labels=alert["labels"], began=alert["startsAt"])
        # Not 5xx, which would be tried again within the same minute.
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The lines are for what is told."""


def states(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alerts of an answer of Prometheus, as they are told: sorted, without what changes with every look."""
    found = [
        {"labels": alert["labels"], "state": alert["state"], "since": alert["activeAt"]}
        for alert in said["data"]["alerts"]
    ]
    return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))


def watch(url: str) -> None:
    """Tells the alerts of one Prometheus whenever they have changed, and that it does not answer."""
    before: Any = None
    while True:
        at = time.time()
        try:
            with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                now: Any = states(json.loads(answer.read()))
            told = {"alerts": now}
        except (OSError, ValueError, KeyError) as error:
            now, told = "silent", {"error": reason(error)}
        if now != before:
            tell("states", at=at, source=url, **told)
            before = now
        time.sleep(LOOK_SECONDS)


def main() -> None:
    """Until it is removed."""
    server = http.server.ThreadingHTTPServer(("", PORT), Receiver)
    for url in os.environ["WITNESS_PROMETHEUS"].split(","):
        threading.Thread(target=watch, args=(url,), daemon=True).start()
    tell("started")
    server.serve_forever()


if __name__ == "__main__":
    main()

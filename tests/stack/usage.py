"""What users do with the application, each thing once: after it there is something to see of everything."""

from __future__ import annotations

import uuid

from tests.stack.endpoints import Endpoints


def use(endpoints: Endpoints) -> str:
    """Writes, reads, searches, rates, reports, and asks for what is not there; the trace id of its write."""
    trace_id = uuid.uuid4().hex
    messages = endpoints.messages()
    endpoints.write(messages, "hello", traceparent=f"00-{trace_id}-{trace_id[:16]}-01")
    for _ in range(3):
        endpoints.contents(messages)
    once = {"Idempotency-Key": uuid.uuid4().hex}
    for path, body in {
        messages: {"role": "user", "content": "once"},
        f"{endpoints.app}/api/feedback": {"score": 5},
        f"{endpoints.app}/api/ux": {"page": "/chats", "lcp_ms": 850.5, "inp_ms": 40, "cls": 0.02},
    }.items():
        endpoints.api("POST", path, json=body, headers=once).raise_for_status()
    endpoints.api("GET", f"{endpoints.app}/api/search", params={"q": "hello"}).raise_for_status()
    assert endpoints.api("GET", f"{endpoints.app}/api/chats/{uuid.uuid4()}").status_code == 404
    return trace_id

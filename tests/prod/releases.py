"""Versions of the application to deploy on a lab: like the one that runs, but for one thing."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from ops.stack import swarm

# One message in three cannot be written, which no health check sees. Its compiled form would be taken first.
FAILS_SOMETIMES = """
RUN rm /opt/pidea/app/chats/__pycache__/history.cpython-311.pyc && printf '%s\\n' \
    'import itertools' \
    '_append, _count = ChatHistory.append, itertools.count()' \
    'async def _sometimes(self, *given, **named):' \
    '    if next(_count) % 3 == 0:' \
    '        raise RuntimeError("the flux capacitor is empty")' \
    '    return await _append(self, *given, **named)' \
    'ChatHistory.append = _sometimes' >> /opt/pidea/app/chats/history.py
"""
ENDS_AT_ONCE = """
CMD ["sh", "-c", "echo cannot find the flux capacitor; exit 3"]
"""
JUST_ANOTHER = """
LABEL org.opencontainers.image.title="pidea-app"
ENV FLUX_CAPACITOR=full
"""


@contextlib.contextmanager
def pushed(image: str, name: str, change: str) -> Iterator[str]:
    """An image made of `image`, which a lab's registry has, by the lines of a Dockerfile; its reference, there as well.

    The nodes get it from the lab's registry as they get any; on this machine its name goes at the end.
    """
    registry = image.partition("/")[0]
    reference = f"{registry}/pidea/{name}:1"
    dockerfile = f"FROM {image}\nUSER root\n{change}\nUSER app\n"
    with swarm.client(300.0) as api:
        for message in api.build(
            fileobj=io.BytesIO(dockerfile.encode()), tag=reference, decode=True, rm=True, forcerm=True
        ):
            assert "error" not in message, message
    try:
        with swarm.client(300.0) as api:
            for message in api.push(reference, stream=True, decode=True, auth_config={"username": "nobody"}):
                assert "error" not in message, message
        yield reference
    finally:
        with swarm.client() as api:
            api.remove_image(reference, force=True)

"""What this machine's kernel has for a lab, found out by trying it in a node."""

from __future__ import annotations

import docker

from ops.lab import shell

# Addresses for documentation (RFC 5737): no packet ever has them.
_STATE = ("src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "spi", "0x70696465")
# What Docker's encrypted overlay networks ask the kernel for; the key is of the right length and of no use.
_CIPHER = ("mode", "transport", "aead", "rfc4106(gcm(aes))", "0x" + "00" * 20, "64")


def can_encrypt(api: docker.APIClient, container: str) -> bool:
    """Whether encrypted overlay networks can work."""
    code, _ = shell.attempt(api, container, "ip", "xfrm", "state", "add", *_STATE, *_CIPHER)
    if code == 0:
        shell.run(api, container, "ip", "xfrm", "state", "delete", *_STATE)
    return code == 0

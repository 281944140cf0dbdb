"""A Pulumi language host for Python: what `pulumi-language-python` is in an official installation.

The CLI starts it to run programs, policy packs and dynamic providers. The packages of an installation that was built
from source have no such host, so that this one stands in for it, over the protocol's messages in the Pulumi SDK.
It runs from a copy in the cache, so nothing in it imports anything of this repository.
"""

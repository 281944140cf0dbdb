"""The backup service, as it runs in its container: the standard library, restic and the databases' tools."""

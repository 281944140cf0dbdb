"""The tiered cache: in process, shared, durable."""

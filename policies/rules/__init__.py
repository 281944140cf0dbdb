"""Rules: each a module of pure functions over a resource's properties, so that they are tested without an engine."""

"""One stack: its reference, settings, state, deployment and what of it runs."""

"""Writes without a pause, looks at everybody's role, and tells each answer as a line of JSON."""

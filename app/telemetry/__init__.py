"""Metrics, traces, logs: subscribers of events, which no mechanism imports."""

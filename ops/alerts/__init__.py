"""Proves alerts on a running stack: causes what they are about, and measures when somebody is told."""

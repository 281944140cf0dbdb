"""Breaks a stack on purpose while it is used, and judges how it held."""

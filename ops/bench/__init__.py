"""`./pidea bench app`: the backend under load, on a real staging stack of its own."""

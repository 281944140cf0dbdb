"""Day-2 commands behind `./pidea`."""

"""The commands of `./pidea`, one module each; a module's `register(app)` adds its command."""

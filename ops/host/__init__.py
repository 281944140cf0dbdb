"""The machine under the stack: Docker, its swarm, and the images that everything is built from."""

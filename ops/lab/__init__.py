"""A lab: a swarm of several machines on this one, each in a container, with faults to order."""

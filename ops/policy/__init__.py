"""`./pidea policy`: what the policy pack has to say of a change, for the people who review it."""

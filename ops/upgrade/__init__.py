"""Another version of PostgreSQL or Redis on the data of before: `./pidea upgrade`, and the way back."""

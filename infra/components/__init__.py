"""The plan as Pulumi resources: a thin translation without decisions of its own."""

"""What the clusters of a stack say of themselves, and the few changes to them that are made by hand."""

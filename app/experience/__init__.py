"""What users make of the service, and the experiments run on it."""

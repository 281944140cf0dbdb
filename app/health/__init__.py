"""Whether this replica can serve, known before anybody asks."""

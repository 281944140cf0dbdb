"""What is caused, by what it is caused to. The order is in `ops.alerts.rounds`."""

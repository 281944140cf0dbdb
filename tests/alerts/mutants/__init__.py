"""Whether the cases of the alerts notice when an alert is wrong: `python -m tests.alerts.mutants`."""

"""Shows the stack's dashboards and traces in a browser, from the definitions that Grafana reads too."""

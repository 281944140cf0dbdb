"""The Pulumi program: settings → plan → components → outputs."""

"""The systems of record: PostgreSQL, and SQLite for a developer without Docker."""

"""The same results as JSON, JUnit, a page and a table."""

"""What can go wrong while a page is made; each text is for the page."""

from __future__ import annotations


class ViewerError(Exception):
    """The root: one line that says what, where, and what to do next."""


class SettingsError(ViewerError):
    """Raised where a variable of the environment is missing or makes no sense."""


class DefinitionError(ViewerError):
    """Raised where a file is no dashboard, or one with parts that the viewer does not know."""


class SourceError(ViewerError):
    """Raised where Prometheus or Jaeger does not answer, or not as it should."""


class QueryError(ViewerError):
    """Raised where Prometheus answers that a query is wrong."""

"""What the API's description says for all operations at once: who may ask, and what errors look like."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.web.authenticate import OPEN_PATHS
from app.web.problems import Problem

SECURITY = {"bearer": {"type": "http", "scheme": "bearer", "description": "The client's token."}}


def install(app: FastAPI) -> None:
    """Make `app.openapi` describe the bearer token and the problem document; made once, when first asked for."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    # Of FastAPI's own error answers, which are problem documents here.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = SECURITY
    for path, operations in document["paths"].items():
        if path.startswith("/api/") and path not in OPEN_PATHS:
            for operation in operations.values():
                operation["security"] = [{"bearer": []}]
    return document

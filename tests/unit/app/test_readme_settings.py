"""The README of the backend names every setting."""

from __future__ import annotations

import re
from pathlib import Path

import app
from app.settings import SECRETS, Settings
from app.web.clients import FILE_VARIABLE

README = Path(app.__file__).with_name("README.md").read_text(encoding="utf-8")


def variable(field: str) -> str:
    if field == "clients":
        return FILE_VARIABLE
    return f"{field.upper()}_FILE" if field.upper() in SECRETS else field.upper()


def test_every_setting_is_named_by_its_variable() -> None:
    variables = {variable(field) for field in Settings.model_fields.keys() - {"embedded_folder"}}
    assert {name for name in variables if not re.search(rf"`{name}\b", README)} == set()


def test_no_setting_is_named_that_there_is_not() -> None:
    # The first column of the table of settings.
    named = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", README, re.MULTILINE))
    assert named <= {variable(field) for field in Settings.model_fields}

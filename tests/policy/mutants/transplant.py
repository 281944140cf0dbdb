"""Puts a changed module in the place of the one that the tests have imported, without importing them again."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Mapping
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, Final

from policies.model import Rule

# Who may have imported something of a module by its name.
_IMPORTERS: Final = ("policies.", "ops.policy.", "tests.policy.")


def transplant(module: ModuleType, tree: ast.Module) -> None:
    """Functions, methods and rules stay the objects that they are and get what the changed ones have.

    Other values are replaced, also where they were imported by name. What another module has computed from them stays
    as it was: a mutant that is not noticed this way may be noticed by a fresh import.
    """
    new = ModuleType(module.__name__)
    vars(new).update({name: vars(module)[name] for name in ("__file__", "__spec__", "__loader__")})
    exec(compile(tree, str(module.__file__), "exec"), vars(new))  # noqa: S102 - that is what it is for
    for name, value in list(vars(new).items()):
        if name.startswith("__"):
            continue
        was = vars(module).get(name)
        kept = _merged(was, value, module)
        vars(module)[name] = kept
        if kept is not was:
            _handed_on(name, was, kept)


def _handed_on(name: str, was: Any, kept: Any) -> None:
    for importer, found in list(sys.modules.items()):
        if f"{importer}.".startswith(_IMPORTERS) and vars(found).get(name) is was:
            vars(found)[name] = kept


def _merged(was: Any, new: Any, module: ModuleType) -> Any:
    if _is_ours(new, module):
        # By its own name: a rule may have got another function.
        was = was if _is_ours(was, module) and was.__name__ == new.__name__ else vars(module).get(new.__name__)
        if not _is_ours(was, module):
            return new
        was.__code__, was.__defaults__, was.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
        return was
    if isinstance(was, type) and isinstance(new, type) and was.__module__ == module.__name__:
        for name, value in list(vars(new).items()):
            _merge_member(was, name, value, module)
        return was
    if isinstance(was, Rule) and isinstance(new, Rule):
        for field in dataclasses.fields(Rule):
            value = _merged(getattr(was, field.name), getattr(new, field.name), module)
            object.__setattr__(was, field.name, value)
        return was
    if isinstance(was, tuple) and isinstance(new, tuple) and len(was) == len(new):
        return tuple(_merged(one, other, module) for one, other in zip(was, new, strict=True))
    if type(new) in (dict, MappingProxyType) and isinstance(was, Mapping):
        merged = {key: _merged(was.get(key), value, module) for key, value in new.items()}
        return merged if isinstance(new, dict) else MappingProxyType(merged)
    return new


def _merge_member(owner: type, name: str, new: Any, module: ModuleType) -> None:
    was = vars(owner).get(name)
    if isinstance(new, property) and isinstance(was, property):
        _merged(was.fget, new.fget, module)
    elif _is_ours(new, module):
        _merged(was, new, module)
    elif not name.startswith("__") and not callable(new) and type(new).__name__ != "member_descriptor":
        setattr(owner, name, new)


def _is_ours(found: Any, module: ModuleType) -> bool:
    """A function that is written in the module, not one that the standard library has made for it."""
    return isinstance(found, FunctionType) and found.__code__.co_filename == str(module.__file__)

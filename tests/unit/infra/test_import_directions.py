"""Who may import whom: `errors, names ← spec, settings ← render ← plan ← components ← program`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# A module may import what stands in an earlier layer, and its own package; nothing of its own layer otherwise.
LAYERS = (
    ("infra.errors", "infra.names", "infra.servers", "infra.spec", "infra.version", "infra.outputs", "infra.schedule"),
    ("infra.section",),
    ("infra.objectives", "infra.routing", "infra.backups"),
    ("infra.settings", "infra.certificate"),
    ("infra.render", "infra.dashboards"),
    ("infra.plan",),
    ("infra.credentials",),
    ("infra.components",),
    ("infra.program",),
    ("infra.__main__",),
)
PURE = (
    "infra.errors",
    "infra.names",
    "infra.servers",
    "infra.spec",
    "infra.section",
    "infra.objectives",
    "infra.routing",
    "infra.backups",
    "infra.settings",
    "infra.certificate",
    "infra.render",
    "infra.dashboards",
    "infra.plan",
    "infra.outputs",
    "infra.schedule",
)
# spec imports nothing of ours; neither do the other three.
ALONE = (
    "infra.errors",
    "infra.names",
    "infra.servers",
    "infra.spec",
    "infra.version",
    "infra.outputs",
    "infra.schedule",
)


def modules(package: str) -> dict[str, Path]:
    """Every module of a top-level package, by its dotted name."""
    found = {}
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """What a file imports, anywhere in it, as dotted names; of `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(REPOSITORY).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer(name: str) -> int | None:
    """The number of a module's layer; None for the package `infra` itself, which holds a docstring alone."""
    return next((number for number, group in enumerate(LAYERS) if any(within(name, member) for member in group)), None)


INFRA = modules("infra")


@pytest.mark.parametrize("module", [name for name in INFRA if name != "infra"])
def test_a_module_imports_from_earlier_layers_only(module: str) -> None:
    own = layer(module)
    assert own is not None, f"{module} has no layer; give it one in this test and in the design"
    for imported in imports(INFRA[module]):
        other = layer(imported)
        if other is None:
            continue
        same_package = any(within(module, member) and within(imported, member) for member in LAYERS[own])
        assert other < own or (other == own and same_package), f"{module} must not import {imported}"


@pytest.mark.parametrize("module", ALONE)
def test_the_vocabulary_imports_nothing_of_ours(module: str) -> None:
    assert not {name for name in imports(INFRA[module]) if within(name, "infra")}


@pytest.mark.parametrize("module", [name for name in INFRA if any(within(name, pure) for pure in PURE)])
def test_what_is_pure_does_not_know_pulumi(module: str) -> None:
    assert not {name for name in imports(INFRA[module]) if name.startswith("pulumi")}


@pytest.mark.parametrize("package", ["app", "infra", "policies"])
def test_app_infra_and_policies_do_not_import_each_other(package: str) -> None:
    others = {"app", "infra", "policies", "ops", "tests"} - {package}
    found = modules(package)
    assert found
    for module, path in found.items():
        assert not {name for name in imports(path) if name.split(".")[0] in others}, module


def test_ops_do_not_import_the_tests_nor_the_application() -> None:
    for module, path in modules("ops").items():
        assert not {name for name in imports(path) if name.split(".")[0] in {"tests", "app"}}, module


def test_planning_does_not_load_pulumi() -> None:
    code = "import sys, infra.plan; print(*[name for name in sys.modules if name.startswith('pulumi')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def compares_environment(tree: ast.AST) -> list[int]:
    """The lines that compare something with the name of an environment, or branch on one."""
    literals = {"staging", "prod"}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare | ast.MatchValue)
        and any(isinstance(found, ast.Constant) and found.value in literals for found in ast.walk(node))
    ]


@pytest.mark.parametrize("module", sorted(set(INFRA) - {"infra.settings"}))
def test_no_code_asks_which_environment_it_is_in(module: str) -> None:
    assert not compares_environment(ast.parse(INFRA[module].read_text())), "let Pulumi.<stack>.yaml say what differs"


def test_such_a_question_would_be_found() -> None:
    assert compares_environment(ast.parse('if settings.environment == "prod": pass')) == [1]
    assert compares_environment(ast.parse('x = 1 if stack in ("prod", "x") else 2')) == [1]
    assert compares_environment(ast.parse('match e:\n  case "staging": pass')) == [2]

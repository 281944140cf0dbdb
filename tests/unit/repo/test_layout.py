"""The repository itself: what it holds, what it must not, and that no test is left out."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TOP_LEVEL = {
    *("infra", "app", "policies", "tests", "ops", "images", "docs"),
    *("Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml", "requirements.txt", "README.md", "pidea"),
}
REQUIRED = {
    *("pulumi", "pulumi-docker", "pulumi-policy", "redis", "requests", "prometheus-client"),
    *("pytest", "pytest-testinfra"),
}
# A home, or the folder of somebody's checkout. Not /tmp, which containers have too.
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|root|home/(?!\w+/\.\.\.)\w+|Users/\w+)(?:/|\b)")


def tracked() -> list[Path]:
    """Every file that git knows, or would add; skips where this is no clone (a source archive has the same files)."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git clone")
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=60,
    )
    found = [REPOSITORY / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in found if path.is_file()]


def texts() -> list[tuple[Path, str]]:
    """Every tracked file that is text, this one aside."""
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content and path != Path(__file__).resolve():
            found.append((path.relative_to(REPOSITORY), content.decode()))
    return found


def test_top_level_is_what_the_layout_says() -> None:
    found = {path.relative_to(REPOSITORY).parts[0] for path in tracked()}
    assert {name for name in found if not name.startswith(".")} == TOP_LEVEL


def test_no_path_of_somebodys_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


def test_such_a_path_would_be_found() -> None:
    assert MACHINE_PATH.search("cd /home/alice/pidea")
    assert MACHINE_PATH.search('"/root/.cache"')
    assert not MACHINE_PATH.search("https://example.org/work/x")


def test_shell_scripts_are_shell() -> None:
    scripts = [path for path, text in texts() if re.match(r"#!.*\b(?:ba|da)?sh\b", text) or path.suffix == ".sh"]
    assert len(scripts) >= 5
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n", REPOSITORY / script], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr


def test_commands_can_be_executed() -> None:
    for name in ("pidea", ".ci/run"):
        assert (REPOSITORY / name).stat().st_mode & 0o111 == 0o111, name


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def test_no_test_sits_in_a_file_that_is_not_collected() -> None:
    """By the name that pytest looks for; fixtures may be called test_…, tests may not be elsewhere."""
    lost = []
    for path in sorted((REPOSITORY / "tests").rglob("*.py")):
        if path.name.startswith("test_"):
            continue
        for node in ast.parse(path.read_text()).body:
            decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
            if is_test(node) and not any("fixture" in decorator for decorator in decorators):
                lost.append(f"{path.relative_to(REPOSITORY)}: {getattr(node, 'name', '')}")
    assert not lost, "\n".join(lost)


def test_pytest_collects_every_test_function() -> None:
    """What the files define at their top level, and what pytest finds there."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collected = {line.split("[")[0] for line in done.stdout.splitlines() if "::" in line}
    defined = {
        f"{path.relative_to(REPOSITORY)}::{getattr(node, 'name', '')}"
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if is_test(node)
    }
    assert defined - collected == set()


def test_names_of_test_files_are_unique() -> None:
    names = [path.name for path in (REPOSITORY / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("lock", ["requirements.txt", "app/requirements.txt", "ops/dashboards/requirements.txt"])
def test_every_package_is_pinned_and_hashed(lock: str) -> None:
    text = (REPOSITORY / lock).read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_what_the_mission_names_is_in_the_lock() -> None:
    locked = set(
        re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert locked >= REQUIRED


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path, text in texts():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", text):
            if not (REPOSITORY / path.parent / target).exists():
                broken.append(f"{path}: {target}")
    assert not broken, "\n".join(broken)

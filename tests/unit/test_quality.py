"""The linters, the type checker and the import rules, as tests: one command checks everything."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        [sys.executable, "-m", "mypy"],
        [str(BIN / "lint-imports")],
    ],
    ids=["ruff check", "ruff format", "mypy", "import-linter"],
)
def test_clean(command: list[str]) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_checker_of_tomorrow_fails_no_test() -> None:
    """What checks the code is installed in versions whose opinion of it is known."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["test"]
    for name in ("ruff", "mypy", "pandas-stubs", "import-linter"):
        (requirement,) = [text for text in wanted if text.startswith(name)]
        assert "<" in requirement


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, accelsim; "
        "print(sorted({'numba', 'onnx', 'pandas', 'matplotlib', 'simpy', 'rich', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

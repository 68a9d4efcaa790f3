"""The list of faults, and the tests that are to catch them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_COMPILED = (
    "tests/golden/test_engine_counterexamples.py",
    "tests/golden/test_engine_contention.py",
    "tests/golden/test_engine_repeats.py",
    "tests/golden/test_engine_first_turns.py",
    "tests/unit/machine/test_machine_fast.py",
    "tests/properties/test_engines_agree.py",
)
_BY_HAND = (
    "tests/unit/timing",
    "tests/golden/test_compute.py",
    "tests/golden/test_dma.py",
    "tests/golden/test_sequencer.py",
    "tests/golden/test_stages.py",
    "tests/golden/test_unit_sequencers.py",
    "tests/golden/test_books.py",
    "tests/golden/test_frame.py",
    "tests/golden/test_visibility.py",
    "tests/golden/test_array_order.py",
    "tests/golden/test_model_in_dram.py",
    "tests/golden/test_stage_values.py",
)


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Parameters
    ----------
    list_name : str
        `compiled`: of the compiled engine alone, which the reference engine shows. `shared`: of what both engines
        follow, or of the reference engine, which cycles worked out by hand show.
    file : str
        Relative to the repository.
    old, new : str
        `old` stands exactly once in the file.
    why : str
        What is wrong then.
    """

    list_name: str
    file: str
    old: str
    new: str
    why: str

    @property
    def name(self) -> str:
        """Where it is, and what is wrong."""
        return f"{self.file.removeprefix('accelsim/')}: {self.why}"

    @property
    def judges(self) -> tuple[str, ...]:
        """Tests that catch it, the quick ones first."""
        return _COMPILED if self.list_name == "compiled" else _BY_HAND


def mutants() -> list[Mutant]:
    """All of them, in the order of the lists."""
    found = []
    for name in ("compiled", "shared"):
        content = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())
        found += [Mutant(name, **entry) for entry in content["mutant"]]
    return found

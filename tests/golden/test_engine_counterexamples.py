"""Programs of which the two cycle engines once did not say the same; found by chance, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.counterexamples import from_text, to_text
from tests.support.engines import check_equal

FILES = sorted((Path(__file__).parent / "counterexamples").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_counterexample(file: Path) -> None:
    program = from_text(file.read_text())
    check_equal(program)
    again = from_text(to_text(program))
    assert (again.words, again.chip, again.layers, again.regions) == (
        program.words,
        program.chip,
        program.layers,
        program.regions,
    )

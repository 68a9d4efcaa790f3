"""That the list of faults is still one of this code."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_fault_can_be_put_in(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert all((ROOT / judge).exists() for judge in mutant.judges)


def test_names_are_unique() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(set(names)) == len(names) > 100

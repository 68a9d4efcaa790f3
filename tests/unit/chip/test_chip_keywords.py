"""`Chip.with_`: keys as keyword arguments or by their dotted names, checked as a chip file is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.chip import load_chip
from accelsim.chip.keywords import dotted_settings
from accelsim.chip.settings import setting_keys
from accelsim.errors import InputError


def test_keywords_and_dotted_keys_are_the_same() -> None:
    chip = load_chip("tx5368")
    before = chip.model_dump()
    changed = chip.with_(mac_rows=16, sram_weights_banks=8, dram_bytes_per_cycle=2.5)
    assert changed == chip.with_({"mac.rows": 16, "sram.weights.banks": 8, "dram.bytes_per_cycle": 2.5})
    assert changed == chip.with_({"mac.rows": 16}, sram_weights_banks=8).with_(dram_bytes_per_cycle=2.5)
    assert (changed.mac.rows, changed.sram.weights.banks, changed.dram.bytes_per_cycle) == (16, 8, 2.5)
    assert chip.model_dump() == before
    assert chip.with_() == chip


def test_every_key_has_a_keyword_of_its_own() -> None:
    keywords = [key.replace(".", "_") for key in setting_keys()]
    assert len(set(keywords)) == len(keywords) > 50
    for key, keyword in zip(setting_keys(), keywords, strict=True):
        assert dotted_settings({}, {keyword: 1}, "chip") == {key: 1}


def test_numbers_of_an_array() -> None:
    chip = load_chip("tx5368")
    for rows in np.array([8, 16]):
        assert chip.with_(mac_rows=rows).mac.rows == int(rows)
    assert chip.with_(dram_bytes_per_cycle=np.float64(1.5)).dram.bytes_per_cycle == 1.5


@pytest.mark.parametrize(
    ("settings", "keywords", "expected"),
    [
        (
            {},
            {"mac_row": 8},
            "chip tx5368: mac_row: unknown key; nearest: mac_rows; expected a chip's key, its dots written as _",
        ),
        ({"mac.row": 8}, {}, "chip tx5368: mac.row: unknown key; nearest: mac.rows; expected a key as "),
        ({}, {"mac_rows": 0}, "chip tx5368: mac.rows: found 0; expected at least 1"),
        ({}, {"mac_rows": 8.5}, "chip tx5368: mac.rows: found 8.5; expected an integer"),
        ({}, {"mac_rows": "8"}, "chip tx5368: mac.rows: found '8'; expected an integer"),
        ({"mac.rows": 8}, {"mac_rows": 8}, "chip tx5368: mac.rows: given twice, once as mac_rows; expected one value"),
        (5, {}, "chip tx5368: settings: found 5; expected keys and values, as {"),
        ({5: 3}, {}, "chip tx5368: settings: found {5: 3}; expected keys and values, as {"),
        ({}, {"sram_weights_banks": 7}, "chip tx5368: sram.weights.capacity_bytes: found "),
    ],
)
def test_mistakes(settings: Any, keywords: dict[str, int], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_chip("tx5368").with_(settings, **keywords)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_keyword_that_may_be_two_keys() -> None:
    with pytest.raises(InputError) as caught:
        dotted_settings({}, {"a_b_c": 1}, "chip", ("a.b_c", "a_b.c", "d"))
    assert str(caught.value) == 'chip: a_b_c: may be a.b_c or a_b.c; expected {"a.b_c": 1}'

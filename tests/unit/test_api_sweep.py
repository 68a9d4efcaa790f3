"""`accelsim.sweep`: the same figures as points one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accelsim
from accelsim.errors import InputError
from accelsim.explore.database import read_results
from accelsim.quant.model import QGraph
from accelsim.quant.onnx_writer import write_quantized_onnx
from tests.support.random_models import random_graph

CHIP = "tx5368-small"


@pytest.fixture(scope="module")
def model() -> QGraph:
    return random_graph(4, steps=3, sizes=(6, 5), linear=3)


def test_points_are_what_each_alone_is(model: QGraph) -> None:
    axes = {"mac.rows": [2, 4]}
    found = accelsim.sweep(model, CHIP, axes, dram_bytes_per_cycle=np.array([0.5, 4.0]), batch=[1, 2])
    assert len(found) == 8
    assert set(found["status"]) == {"done"}
    chip = accelsim.load_chip(CHIP)
    for row in found.to_dict("records"):
        variant = chip.with_({"mac.rows": row["mac.rows"], "dram.bytes_per_cycle": row["dram.bytes_per_cycle"]})
        timing = accelsim.time(accelsim.compile(model, variant, batch=row["batch"]))
        assert row["cycles"] == timing.cycles
        assert row["energy_nj"] == pytest.approx(timing.profile.total.energy_nj)


def test_texts_conditions_files_and_several_models(model: QGraph, tmp_path: Path) -> None:
    write_quantized_onnx(model, tmp_path / "m.onnx")
    one = accelsim.sweep([tmp_path / "m.onnx", random_graph(5, steps=3, sizes=(4, 4))], CHIP, mac_rows="2:8:x2")
    assert one["mac.rows"].tolist() == [2, 4, 8] * 2
    assert one["model"].nunique() == 2
    few = accelsim.sweep(model, CHIP, mac_rows="2:8:x2", where="mac.rows > 2")
    assert few["mac.rows"].tolist() == [4, 8]
    np.testing.assert_array_equal(few["cycles"], one["cycles"][1:3])


def test_a_folder_is_gone_on_with(model: QGraph, tmp_path: Path) -> None:
    out = tmp_path / "deeper" / "sweep"
    first = accelsim.sweep(model, CHIP, mac_rows=[2, 4], out=out)
    again = accelsim.sweep(model, CHIP, mac_rows=[2, 4], out=str(out))
    assert again.equals(first)
    assert read_results(out).points.equals(first)
    with pytest.raises(InputError, match="sweep"):
        accelsim.sweep(model, CHIP, mac_rows=[2, 8], out=out)


def test_a_point_that_does_not_fit_is_a_row(model: QGraph) -> None:
    found = accelsim.sweep(model, CHIP, {"sequencer.instruction_memory_words": [1, 4096]})
    assert found["status"].tolist() == ["failed", "done"]
    assert "instruction" in found["reason"][0]
    assert np.isnan(found["cycles"][0])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "axes: no key is set; expected at least one, with its values"),
        ({"mac_row": [1]}, "axes: mac_row: unknown key; nearest: mac_rows; "),
        ({"axes": {"mac.row": [1]}}, "axes: mac.row: unknown key; nearest: mac.rows; "),
        ({"axes": {"mac.rows": [1]}, "mac_rows": [2]}, "axes: mac.rows: given twice, once as mac_rows; "),
        ({"mac_rows": []}, "axes: mac.rows: no values; "),
        ({"mac_rows": 4}, "axes: mac.rows: found 4; expected a list of values, or a text such as 8:64:x2"),
        ({"mac_rows": [4, 0]}, "axes: mac.rows: found 0; expected at least 1"),
        ({"mac_rows": "8:64:y2"}, "axes: mac.rows: found '8:64:y2'; "),
        ({"mac_rows": [4], "where": "mac.rows > 4"}, "--where: none of 1 points meets mac.rows > 4; "),
        (
            {"mac_rows": [4], "schedule": "wavefrunt"},
            "--schedule: found 'wavefrunt'; nearest: wavefront; expected one of ",
        ),
        ({"mac_rows": [4], "jobs": 0}, "jobs: found 0; expected an integer of at least 1"),
        ({"mac_rows": [4], "chip": "tx536"}, "--chip: no chip named 'tx536' (nearest: tx5368)"),
        ({"mac_rows": [4], "models": 5}, "models: found int; expected a QGraph, or the path of a file"),
        ({"mac_rows": [4], "models": []}, "models: none; expected at least one"),
    ],
)
def test_mistakes(model: QGraph, arguments: dict[str, Any], expected: str) -> None:
    call: Callable[..., Any] = accelsim.sweep
    with pytest.raises(InputError) as caught:
        call(**{"models": model, "chip": CHIP} | arguments)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)

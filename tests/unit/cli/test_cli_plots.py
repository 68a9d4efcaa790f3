from __future__ import annotations

import numpy as np
import pytest

from accelsim.isa.files import read_program
from accelsim.machine.run import time_frame
from tests.support.command_line import Files, Program

STEMS = {"cycles_by_layer", "energy_by_layer", "roofline", "unit_timeline", "dram_traffic", "sram_occupancy"}


def test_formats(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--plots-format", "both")
    drawn = {path.name for path in files.out.iterdir()} - {"profile.csv"}
    assert drawn == {f"{stem}.{ending}" for stem in STEMS for ending in ("png", "svg")}
    assert all(f"written: {files.out / name}" in out for name in drawn)


def test_a_time_step_of_a_layer(accelsim: Program, files: Files) -> None:
    layer = read_program(files / "kws_quantize_r.cfg").layers[0].name
    accelsim.ok(
        *("profile", files / "kws_quantize_r.cfg", "--outpath", files.out),
        *("--zoom-step", "1", "--zoom-layer", layer),
    )
    assert (files.out / "unit_timeline_zoom.png").read_bytes().startswith(b"\x89PNG")


def test_a_zoom_with_too_many_operations_is_left_out_with_a_note(
    accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelsim.profile.plots.MOST_DRAWN", 5)
    outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--zoom", "0:300")
    assert outcome.code == 0
    assert "no unit_timeline_zoom: cycles 0 to 300 have " in outcome.err
    assert not (files.out / "unit_timeline_zoom.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--zoom", "5"), "--zoom: found '5'; expected FROM:TO, two cycles of which the first is smaller"),
        (("--zoom", "9:5"), "--zoom: found '9:5'; expected FROM:TO, two cycles of which the first is smaller"),
        (("--zoom", "-5:5"), "--zoom: found '-5:5'; expected FROM:TO, two cycles of which the first is smaller"),
        (
            ("--zoom", "5:9", "--zoom-step", "1"),
            "--zoom: found together with --zoom-step or --zoom-layer; expected one of the two",
        ),
        (("--zoom-layer", "x"), "--zoom-layer: found 'x' without --zoom-step; expected --zoom-step N with it"),
        (("--zoom-step", "1", "--no-plots"), "--zoom-step: found without plots; expected --plots with it"),
        (("--zoom", "1:2", "--no-plots"), "--zoom: found without plots; expected --plots with it"),
    ],
)
def test_options_that_make_no_sense(accelsim: Program, files: Files, options: tuple[str, ...], message: str) -> None:
    outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, *options)
    assert (outcome.code, outcome.error) == (2, message)
    assert not files.out.exists()


def test_a_step_or_cycle_the_run_does_not_have(accelsim: Program, files: Files) -> None:
    cycles = time_frame(read_program(files / "kws_quantize_r.cfg")).cycles
    for options, message in {
        ("--zoom-step", "100000"): "--zoom-step: found 100000; expected 0 to ",
        ("--zoom-step", "0", "--zoom-layer", "none"): "--zoom-layer: found 'none'; expected one of the layers ",
        ("--zoom", f"0:{cycles + 1}"): f"--zoom: found 0:{cycles + 1}; expected cycles of the run, within 0:{cycles}",
    }.items():
        outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, *options)
        assert outcome.code == 2
        assert outcome.error.startswith(message)
        assert not files.out.exists()


def test_run_takes_the_same_options(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    assert np.load(files / "data.npz")["features"].ndim == 3
    accelsim.ok(*arguments, "--plots", "--plots-format", "svg", "--zoom", "10:90")
    assert {path.stem for path in files.out.glob("*.svg")} == STEMS | {"unit_timeline_zoom"}
    assert accelsim(*arguments, "--zoom", "10:90").error == "--zoom: found without plots; expected --plots with it"

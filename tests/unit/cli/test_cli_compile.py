"""`accelsim compile`, `asm`, `disasm`, `make-input` and `chips`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accelsim.chip import chip_names, load_chip
from accelsim.cli.commands.chips import chip_keys
from accelsim.isa.files import read_program
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.resources import resource_root
from accelsim.schedules import compile_scheduled
from tests.support.command_line import FEATURES, FRAMES, STEPS, Files, Program, refused


def test_program_is_the_compilers(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("compile", "--onnx", files / "kws_quantize.onnx", "--outpath", files.out)
    expected = compile_scheduled(read_quantized_onnx(files / "kws_quantize.onnx"), load_chip("tx5368")).program
    assert read_program(files.out / "kws_quantize_r.cfg") == expected
    assert f"{len(expected.words)} instructions of 1,024; schedule: {expected.schedule}" in out
    assert sorted(path.name for path in files.out.iterdir()) == ["kws_quantize_r.cfg", "kws_quantize_r.weight"]


def test_json_says_how_full_memories_are(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("compile", files / "kws_quantize.onnx", "--outpath", files.out, "--json")
    summary = json.loads(out)
    program = read_program(files.out / "kws_quantize_r.cfg")
    assert summary["instructions"] == len(program.words)
    assert summary["macs"] == sum(layer.macs for layer in program.layers)
    weights = next(row for row in summary["memory"] if row["memory"] == "weights")
    ends = [region.address + region.bytes for region in program.regions if region.memory == "weights"]
    assert weights == {"memory": "weights", "used_bytes": max(ends), "capacity_bytes": 294912}
    assert [row["memory"] for row in summary["memory"]][-1] == "dram"
    assert summary["files"] == [str(files.out / f"kws_quantize_r.{suffix}") for suffix in ("cfg", "weight")]


def test_preloaded_weights_are_no_part_of_a_frame(accelsim: Program, files: Files) -> None:
    model, data = files / "kws_quantize.onnx", files / "data.npz"
    results = {}
    for option in ("--preload", "--no-preload"):
        accelsim.ok("compile", model, "--outpath", files.out, option)
        # The chip is the same one: what the compiler was told is no part of it.
        arguments = ("--chip", "tx5368", "run", files.out / "kws_quantize_r.cfg", "-i", data, "--outpath", files.out)
        results[option] = json.loads(accelsim.ok(*arguments, "--json"))
        results[option]["values"] = np.load(files.out / "output.npy").tolist()
    warm, cold = results.values()
    assert warm["values"] == cold["values"]
    assert warm["cycles"] < cold["cycles"]
    assert (warm["setup_cycles"] > 0, cold["setup_cycles"]) == (True, 0)
    assert warm["total"]["cycles"] == warm["setup_cycles"] + warm["frames"] * warm["cycles"]
    assert warm["bound_cycles"] <= warm["cycles"]
    accelsim.ok("compile", model, "--outpath", files.out, "--preload")
    said = accelsim.ok("run", files.out / "kws_quantize_r.cfg", "-i", data, "--outpath", files.out)
    assert f"before the first frame, once: {warm['setup_cycles']:,} cycles of set-up" in said


def test_a_schedule_by_name(accelsim: Program, files: Files) -> None:
    model, cfg, outputs = files / "kws_quantize.onnx", files.out / "kws_quantize_r.cfg", []
    for name in ("stepwise", "hoisted"):
        summary = json.loads(accelsim.ok("compile", model, "--outpath", files.out, "--schedule", name, "--json"))
        assert summary["schedule"].startswith(name)
        assert summary["schedule"] == read_program(cfg).schedule
        result = json.loads(accelsim.ok("run", cfg, "-i", files / "data.npz", "--outpath", files.out, "--json"))
        assert result["schedule"] == summary["schedule"]
        assert f"schedule: {name}" in accelsim.ok("profile", cfg, "--outpath", files.out)
        outputs.append((files.out / "output.npy").read_bytes())
    assert outputs[0] == outputs[1]


def test_the_schedule_of_fewest_cycles_is_taken(accelsim: Program, files: Files) -> None:
    """On a chip that streams all weights there are at least two to choose from; the table shows both."""
    text = (resource_root() / "configs" / "tx5368-small.toml").read_text()
    # The first is the weights' memory.
    (files / "mine.toml").write_text(text.replace("capacity_bytes = 32768", "capacity_bytes = 256", 1))
    command = ("compile", files / "kws_quantize.onnx", "--outpath", files.out, "--chip", files / "mine.toml")
    summary = json.loads(accelsim.ok(*command, "--json"))
    cycles = {one["schedule"]: one["cycles"] for one in summary["candidates"]}
    assert summary["schedule"] == min(cycles, key=lambda name: cycles[name])
    result = ("run", files.out / "kws_quantize_r.cfg", "-i", files / "data.npz", "--outpath", files.out, "--json")
    assert json.loads(accelsim.ok(*result))["cycles"] == min(cycles.values())
    shown = accelsim.ok(*command)
    assert all(name in shown and f"{count:,}" in shown for name, count in cycles.items())


def test_a_schedule_that_can_not_be(accelsim: Program, files: Files) -> None:
    command = ("compile", files / "kws_quantize.onnx", "--outpath", files.out, "--schedule")
    found = "interleaved: no two layers can run side by side; expected two directions"
    assert refused(accelsim, files, *command, "interleaved") == f"--schedule: {found}"
    names = "'auto', 'stepwise', 'wavefront', 'hoisted', 'interleaved'"
    assert f"Invalid value for '--schedule': 'best' is not one of {names}" in refused(accelsim, files, *command, "best")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("name", "chip"), [("tx5368-small", "tx5368-small"), ("TX5368AV200", "tx5368"), ("tx5368av200", "tx5368")]
)
def test_chip_before_or_after_the_command(accelsim: Program, files: Files, name: str, chip: str, before: bool) -> None:
    command = ("compile", files / "kws_quantize.onnx", "--outpath", files.out)
    accelsim.ok(*(("--chip", name, *command) if before else (*command, "--chip", name)))
    assert read_program(files.out / "kws_quantize_r.cfg").chip.name == chip


def test_a_commands_own_chip_wins(accelsim: Program, files: Files) -> None:
    command = ("compile", files / "kws_quantize.onnx", "--outpath", files.out, "--chip", "tx5368-small")
    accelsim.ok("--chip", "tx5368-large", *command)
    assert read_program(files.out / "kws_quantize_r.cfg").chip.name == "tx5368-small"


def test_disassembled_program_assembles_to_the_same_files(accelsim: Program, files: Files) -> None:
    text = accelsim.ok("disasm", files / "kws_quantize_r.cfg")
    written = accelsim.ok("disasm", files / "kws_quantize_r.cfg", "-o", files / "kws_quantize_r.asm")
    assert (files / "kws_quantize_r.asm").read_text() == text
    assert str(files / "kws_quantize_r.asm") in written
    accelsim.ok("asm", files / "kws_quantize_r.asm", "--outpath", files.out)
    for name in ("kws_quantize_r.cfg", "kws_quantize_r.weight"):
        assert (files.out / name).read_bytes() == (files / name).read_bytes()


def test_weights_of_another_folder(accelsim: Program, files: Files) -> None:
    before = accelsim.ok("disasm", files / "kws_quantize_r.cfg")
    (files / "kws_quantize_r.weight").rename(files / "elsewhere.weight")
    arguments = ("disasm", "--config", files / "kws_quantize_r.cfg", "--weight", files / "elsewhere.weight")
    assert accelsim.ok(*arguments) == before


def test_make_input(accelsim: Program, files: Files) -> None:
    for source in ("data.npz", "data.npy"):
        out = accelsim.ok("make-input", "--input", files / source, "--outpath", files.out)
        assert f"{FRAMES} frames of {STEPS} x {FEATURES}" in out
        assert (files.out / "model_input.bin").read_bytes() == (files / "data.bin").read_bytes()


def test_chips_are_listed(accelsim: Program) -> None:
    out = accelsim.ok("chips")
    listed = json.loads(accelsim.ok("chips", "--json"))
    assert [chip["name"] for chip in listed] == chip_names()
    for name in chip_names():
        assert name in out
    assert "TX5368AV200" in out


def test_every_figure_of_a_chip(accelsim: Program) -> None:
    out = accelsim.ok("chips", "tx5368")
    described = json.loads(accelsim.ok("--chip", "TX5368AV200", "chips", "--json"))
    values = {row["key"]: row["value"] for row in described["keys"]}
    assert values["mac.rows"] == 32
    assert values["chaining.enabled"] is True
    for key in set(values) - {"chip.name", "chip.description"}:
        assert key in out
    assert "assumed" in out


def test_keys_are_those_a_chip_file_has(accelsim: Program) -> None:
    keys = {row["key"]: row for row in chip_keys()}
    described = {row["key"] for row in json.loads(accelsim.ok("chips", "tx5368", "--json"))["keys"]}
    assert {key for key in keys if "[]" not in key} - {"provenance"} == described
    assert keys["mac.rows"]["type"] == "integer >= 1, <= 4096"
    assert keys["mac.rows"]["default"] == "required"
    assert keys["sequencer.dispatch_cycles"]["default"] == "1"
    assert keys["energy.mac_int8_pj"]["type"] == "number >= 0, <= 1e+09"
    assert keys["chaining.enabled"]["type"] == "true or false"
    out = accelsim.ok("chips", "--keys")
    assert json.loads(accelsim.ok("chips", "--keys", "--json")) == list(keys.values())
    assert all(key in out for key in keys)


def test_a_chip_file_is_shown_like_a_shipped_chip(accelsim: Program, files: Files) -> None:
    text = (resource_root() / "configs" / "tx5368.toml").read_text().replace('"tx5368"', '"mine"', 1)
    (files / "mine.toml").write_text(text)
    assert json.loads(accelsim.ok("chips", files / "mine.toml", "--json"))["name"] == "mine"


def test_raw_frames_are_little_endian(accelsim: Program, files: Files) -> None:
    np.save(files / "big.npy", np.load(files / "data.npy").astype(">f4"))
    accelsim.ok("make-input", "--input", files / "big.npy", "--outpath", files.out)
    assert (files.out / "model_input.bin").read_bytes() == (files / "data.bin").read_bytes()

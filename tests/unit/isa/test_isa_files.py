"""Program files: exact on the way out and in, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import hashlib
import os
import struct
import tomllib
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.isa.atomic import write_files
from accelsim.isa.files import read_program, write_program
from accelsim.isa.program import Program
from accelsim.isa.toml_text import toml_lines, toml_value
from accelsim.isa.weight_file import HEADER_BYTES, pack_weights, read_weights, unpack_weights


def sealed(text: str) -> bytes:
    """A `.cfg` text with its last line made right again."""
    body = text[: text.rindex("# sha256 = ")].encode()
    return body + f"# sha256 = {hashlib.sha256(body).hexdigest()}\n".encode()


def refusal(cfg: Path, weight: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_program(cfg, weight)
    return str(caught.value)


def test_names_and_round_trip(program: Program, tmp_path: Path) -> None:
    cfg, weight = write_program(program, tmp_path, "small")
    assert (cfg.name, weight.name) == ("small_r.cfg", "small_r.weight")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small_r.cfg", "small_r.weight"]
    assert read_program(cfg) == program
    assert read_program(str(cfg), str(weight)) == program


def test_weights_may_lie_elsewhere(program: Program, tmp_path: Path) -> None:
    cfg, weight = write_program(program, tmp_path, "small")
    moved = weight.rename(tmp_path / "moved.bin")
    assert read_program(cfg, moved) == program
    assert refusal(cfg).startswith(f"{weight}: No such file or directory; expected the weights of small_r.cfg")


def test_the_text_is_readable(program: Program, tmp_path: Path) -> None:
    cfg, weight = write_program(program, tmp_path, "small")
    data = tomllib.loads(cfg.read_text())
    assert data["weights"]["sha256"] == hashlib.sha256(weight.read_bytes()).hexdigest()
    assert data["chip"]["digest"] == program.chip.digest
    assert data["program"]["words"][5] == [f"{1:072x}", "halt"]
    assert data["output"][0]["scale"] == [0.25, 0.5, 1.0, 2.0]


def test_float32_values_survive(program: Program, tmp_path: Path) -> None:
    scales = np.array([0.1, 1e-30, 3.4e38, 1.4e-45], dtype=np.float32)
    (output,) = program.outputs
    changed = replace(program, outputs=(replace(output, scale=tuple(scales.tolist())),))
    cfg, _ = write_program(changed, tmp_path, "small")
    read = np.array(read_program(cfg).outputs[0].scale, dtype=np.float32)
    assert read.tobytes() == scales.tobytes()


EDITS: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text.replace('format = "accelsim', 'format = "other'), "format: found 'other-program'; expected \""),
    (lambda text: text.replace("format_version = 1", "format_version = 2"), "format_version: found 2; expected 1"),
    (lambda text: text.replace("format_version = 1\n", ""), "format_version: missing; expected 1"),
    (lambda text: text.replace('name = "RNE"', 'name = "RNX"'), "isa.name: found 'RNX'; expected \"RNE\""),
    (lambda text: text.replace("\nversion = 2", "\nversion = 9"), "isa.version: found 9; expected 2"),
    (lambda text: text.replace('schedule = "by hand"', "schedule = 1"), "schedule: found 1; expected text"),
    (lambda text: text.replace('schedule = "by hand"\n', ""), "schedule: missing; expected text"),
    (lambda text: text.replace("schedule =", "scheduled = 1\nschedule ="), "scheduled: unknown key; nearest: schedule"),
    (lambda text: text.replace("[isa]", "isa = 1\n[is]"), "isa: found 1; expected a table"),
    (
        lambda text: text.replace("shape = [25, 40]", 'shape = [25, "x"]'),
        "input[0].shape[1]: found 'x'; expected a int",
    ),
    (lambda text: text.replace("shape = [25, 40]", "shape = 25"), "input[0].shape: found 25; expected a list of int"),
    (lambda text: text.replace("zero_point = -3", "zero_point = true"), "input[0].zero_point: found True; expected an"),
    (
        lambda text: text.replace("zero_point = -3", "zero_point = -300"),
        "small_r.cfg: input 'x': found zero point -300",
    ),
    (lambda text: text.replace("[[region]]", "[[region]]\ncolour = 1", 1), "region[0].colour: unknown key"),
    (lambda text: text.replace("[[1, 2], [3, 5]]", "[[1, 2], [3]]"), "layer[0].instructions[1]: found [3]; expected ["),
    (lambda text: text.replace('"halt"', '"nop"'), "program.words[5]: found 'nop'; expected 'halt', which is what the"),
    (lambda text: text.replace('"halt"', "1"), "program.words[5]: found ['0000"),
    (lambda text: text.replace(f'"{1:072x}"', '"1"'), "program.words[5]: found '1'; expected 72 hexadecimal digits"),
    (lambda text: text.replace(f'"{1:072x}"', f'"{63:072x}"'), "program.words[5]: 0x3f: no instruction has opcode 63"),
    (
        lambda text: text.replace("clock_mhz = 400.0", "clock_mhz = -1.0"),
        "chip.description: chip.clock_mhz: found -1.0",
    ),
    (lambda text: text.replace("clock_mhz = 400.0", "clock_mhz = 401.0"), "chip.digest: found '"),
    (lambda text: text.replace('file = "', 'file = "../'), "weights.file: found '../small_r.weight'; expected a file"),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS)
def test_a_wrong_field_is_named(program: Program, tmp_path: Path, edit: Callable[[str], str], expected: str) -> None:
    cfg, _ = write_program(program, tmp_path, "small")
    text = cfg.read_text()
    assert edit(text) != text
    cfg.write_bytes(sealed(edit(text)))
    assert expected in refusal(cfg)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", 'format: missing; expected "accelsim-program"'),
        (b"\xff\xfe", "not UTF-8 text; expected a compiled program"),
        (b"halt\n", "not TOML: "),
        (b"a = " + b"[" * 5000, "not TOML: "),
        (b"a = " + b"1" * 5000, "not TOML: "),
        (b'format = "accelsim-program"\nformat_version = 1\n', "last line: no checksum: the file is trunc"),
        (b'format = "accelsim-quant"\n', "format: found 'accelsim-quant'"),
    ],
)
def test_other_files_are_refused(content: bytes, expected: str, tmp_path: Path) -> None:
    cfg = tmp_path / "x_r.cfg"
    cfg.write_bytes(content)
    assert refusal(cfg).startswith(f"{cfg}: {expected}")


def test_an_altered_comment_is_found(program: Program, tmp_path: Path) -> None:
    cfg, _ = write_program(program, tmp_path, "small")
    cfg.write_text(cfg.read_text().replace("# The memory map", "# the memory map"))
    assert "the file is altered" in refusal(cfg)


def test_missing_files_and_directories(program: Program, tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.cfg").endswith(
        "none.cfg: No such file or directory; expected a compiled program (.cfg)"
    )
    assert "Is a directory" in refusal(tmp_path)
    assert "null byte" in refusal(Path("a\0b"))
    cfg, _ = write_program(program, tmp_path, "small")
    assert refusal(cfg, tmp_path).startswith(f"{tmp_path}: Is a directory; expected the weights of small_r.cfg")


def test_weights_of_another_program(program: Program, tmp_path: Path) -> None:
    cfg, _ = write_program(program, tmp_path, "small")
    same_size = replace(program, image=bytes(128))
    _, other = write_program(same_size, tmp_path, "other")
    assert "SHA-256: found" in refusal(cfg, other)
    assert "as small_r.cfg says: the weights of another program?" in refusal(cfg, other)
    _, shorter = write_program(replace(program, image=b"1"), tmp_path, "shorter")
    assert f"{shorter}: size: found 65 bytes; expected 192, as small_r.cfg says" in refusal(cfg, shorter)


def forged(
    version: int = 1, length: int = 4, digest: bytes = hashlib.sha256(b"data").digest(), gap: bytes = bytes(12)
) -> bytes:
    """A `.weight` file with the payload `data`, written without our writer."""
    header = b"RNEW" + struct.pack("<IQ", version, length) + digest + gap
    return header + struct.pack("<I", zlib.crc32(header)) + b"data"


def test_the_weight_format_is_as_documented() -> None:
    assert pack_weights(b"data") == forged()
    assert len(forged()) == HEADER_BYTES + 4 == 68
    assert unpack_weights(forged(), "w") == b"data"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "w: magic: found b''; expected b'RNEW', a .weight file"),
        (b"ELF.....", "w: magic: found b'ELF.'"),
        (forged()[:63], "w: header: found 63 bytes; expected 64"),
        (forged()[:60] + b"\0\0\0\0data", "w: header checksum: found 00000000; expected "),
        (forged(version=2), "w: version: found 2; expected 1"),
        (forged(length=5), "w: length: found 4 bytes of payload; expected 5"),
        (forged() + b"!", "w: length: found 5 bytes of payload; expected 4"),
        (forged(digest=bytes(32)), "w: payload SHA-256: found 3a6eb079"),
        (forged(gap=b"\1" * 12), "w: header: bytes 48 to 59 are not zero"),
    ],
)
def test_wrong_weights_are_named(content: bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        unpack_weights(content, "w")
    assert str(caught.value).startswith(expected)


def test_weights_are_read_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(forged())
    assert read_weights(tmp_path / "w") == b"data"


def test_a_wrong_program_is_not_written(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="isa version"):
        write_program(replace(program, isa_version=1), tmp_path, "small")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stem", ["", "a/b", "a\\b", "a\0b"])
def test_a_stem_is_a_file_name(program: Program, tmp_path: Path, stem: str) -> None:
    with pytest.raises(InputError, match="expected a name without a folder"):
        write_program(program, tmp_path, stem)


def test_a_missing_folder_is_named(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_program(program, tmp_path / "none", "small")
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: can't be written: No such file or directory; expected a writable folder"
    )


@pytest.mark.parametrize("step", ["open", "replace"])
def test_nothing_is_left_when_writing_fails(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path if step == "open" else os, step, fail)
    with pytest.raises(InputError) as caught:
        write_program(program, tmp_path, "small")
    assert str(caught.value).startswith(f"{tmp_path}: can't be written: Permission denied")
    assert list(tmp_path.iterdir()) == []


def test_the_old_files_stay_when_a_name_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="is a directory; expected a file name"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_another_writers_leftover_is_not_ours(tmp_path: Path) -> None:
    leftover = tmp_path / f".a.{os.getpid()}.tmp"
    leftover.mkdir()
    with pytest.raises(InputError, match="can't be written"):
        write_files({tmp_path / "a": b"new"})
    assert leftover.is_dir()


def test_toml_values() -> None:
    table = {
        "text": 'a"\\\n\x7f\x1f',
        "flag": True,
        "list": [1, 2.5, [3]],
        "dotted.key": 1,
        "sub": {"deeper": {"x": 1e300}},
    }
    assert tomllib.loads("\n".join(toml_lines(table))) == table
    with pytest.raises(TypeError, match="no TOML value: None"):
        toml_value(None)

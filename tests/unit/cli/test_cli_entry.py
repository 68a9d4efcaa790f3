"""The program itself: help, version, exit codes, and what becomes of errors of every kind."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

import accelsim as package
from accelsim.cli.app import app
from accelsim.errors import InputError, InternalError, ManyErrors
from tests.support.command_line import Program

COMMANDS = [
    "quant",
    "compile",
    "run",
    "profile",
    "diff",
    "sweep",
    "report",
    "make-input",
    "chips",
    "energy",
    "disasm",
    "asm",
    "validate",
]


def test_help_lists_every_command(accelsim: Program) -> None:
    out = accelsim.ok("--help")
    assert accelsim.ok() == out == accelsim.ok("-h")
    assert list(app.commands) == COMMANDS
    for name in [*COMMANDS, "rne-compile", "rne-sim", "rne-profiling", "TX5368AV200"]:
        assert name in out


@pytest.mark.parametrize("name", [*COMMANDS, "rne-compile", "rne-sim", "rne-profiling"])
def test_help_of_a_command(accelsim: Program, name: str) -> None:
    assert accelsim.ok(name, "--help").startswith(f"Usage: accelsim {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    for parameter in app.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_version(accelsim: Program) -> None:
    assert accelsim.ok("--version") == f"accelsim, version {package.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from accelsim.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert "click" in loaded
    assert not set(loaded) & {"numpy", "onnx", "numba", "pandas", "matplotlib", "rich", "pydantic", "simpy"}


@pytest.mark.parametrize(
    ("mistyped", "meant"), [("compil", "compile"), ("quantise", "quant"), ("rne_sim", "rne-sim"), ("chip", "chips")]
)
def test_nearest_command_is_named(accelsim: Program, mistyped: str, meant: str) -> None:
    outcome = accelsim(mistyped)
    assert outcome.code == 2
    assert outcome.error == f"no command '{mistyped}'; nearest: {meant} (see accelsim --help)"


def test_a_command_like_no_other(accelsim: Program) -> None:
    assert accelsim("zzz").error == "no command 'zzz' (see accelsim --help)"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bogus"], "--bogus"),
        (["chips", "--bogus"], "--bogus"),
        (["quant"], "--model"),
        (["quant", "-m", "lstm"], "--data"),
        (["quant", "-m", "a.onnx", "-d", "d.npz", "-qm", "max"], "min_max"),
        (["quant", "-m", "a.onnx", "-d", "d.npz", "-i", "0"], "x>=1"),
        (["quant", "caffe", "-m", "a.onnx", "-d", "d.npz"], "onnx"),
        (["compile"], "missing the quantized model: as an argument or as --onnx FILE"),
        (["compile", "a.onnx", "--onnx", "b.onnx"], "the quantized model given twice"),
        (["run", "a.cfg"], "--input"),
        (["run", "--input", "d.npz"], "missing the compiled program (.cfg): as an argument or as --config FILE"),
        (["run", "a.cfg", "--config", "a.cfg", "--input", "d.npz"], "given twice"),
        (["run", "a.cfg", "--input", "d.npz", "--check", "all"], "hazards"),
        (["profile"], "missing the compiled program"),
        (["make-input"], "--input"),
        (["asm"], "FILE.asm"),
        (["chips", "tx5368", "--keys"], "leave the name out"),
        (["chips", "a", "b"], "b"),
    ],
)
def test_usage_errors_are_one_line(accelsim: Program, arguments: list[str], text: str) -> None:
    outcome = accelsim(*arguments)
    assert outcome.code == 2
    assert text in outcome.error
    assert outcome.error.endswith("--help)")


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `accelsim chips` raise this."""

    def raising() -> list[str]:
        raise error

    monkeypatch.setattr("accelsim.chip.chip_names", raising)


def test_unexpected_errors_ask_to_be_reported(accelsim: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, KeyError("layer"))
    outcome = accelsim("chips")
    assert outcome.code == 70
    assert outcome.error.startswith("internal error: KeyError: 'layer'; please report it")
    assert "--debug" in outcome.error


def test_our_own_errors_have_code_70(accelsim: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, InternalError("engines differ"))
    outcome = accelsim("chips")
    assert (outcome.code, outcome.error) == (70, "engines differ")


@pytest.mark.parametrize("error", [KeyError("layer"), InputError("a.cfg", "words", "none"), InternalError("x")])
def test_debug_shows_the_traceback(accelsim: Program, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fails(monkeypatch, error)
    outcome = accelsim("--debug", "chips")
    assert outcome.code in (2, 70)
    assert "Traceback" in outcome.err
    assert "accelsim: error: " in outcome.err.splitlines()[-1]


def test_many_errors_are_a_line_each(accelsim: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, ManyErrors([InputError("a.toml", "mac", "missing"), InputError("a.toml", "dma", "missing")]))
    outcome = accelsim("chips")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "accelsim: error: a.toml: mac: missing",
        "accelsim: error: a.toml: dma: missing",
    ]


def test_interrupted(accelsim: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, KeyboardInterrupt())
    outcome = accelsim("chips")
    assert outcome.code == 130
    # The empty line leaves the terminal's ^C behind.
    assert outcome.err.splitlines() == ["", "accelsim: error: interrupted"]


def test_a_stray_end_of_file_is_no_interrupt(accelsim: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, EOFError("Ran out of input"))
    outcome = accelsim("chips")
    assert outcome.code == 70
    assert outcome.error.startswith("internal error: RuntimeError: a file or stream ends too early; please report it")
    assert "Ran out of input" in accelsim("--debug", "chips").err


def test_names_cannot_drive_the_terminal(accelsim: Program) -> None:
    outcome = accelsim("compile", "--onnx", "a\x1b[31m.onnx")
    assert outcome.code == 2
    assert "\x1b" not in outcome.err
    assert "a\\x1b[31m.onnx" in outcome.error


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "accelsim.cli", "chips", "--keys"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")


@ON_LINUX
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [(), ("--help",), ("--version",), ("run", "--help"), ("chips",), ("chips", "tx5368"), ("chips", "--json")],
)
def test_a_full_disk_behind_the_output_is_said(arguments: tuple[str, ...], unbuffered: str) -> None:
    """Once, and not a second time when Python ends."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "accelsim.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "output" in line
    assert line.endswith("No space left on device")


@ON_LINUX
def test_a_full_disk_behind_the_errors_changes_no_exit_code() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "accelsim.cli", "zzz"], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (2, b"")


@ON_LINUX
@pytest.mark.parametrize("arguments", ["--help", "chips"])
def test_without_a_standard_output_nothing_is_said(arguments: str) -> None:
    command = f"{sys.executable} -m accelsim.cli {arguments} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "accelsim.cli", "zzz"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "accelsim: error: no command 'zzz' (see accelsim --help)\n"

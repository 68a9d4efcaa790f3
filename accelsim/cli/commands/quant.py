"""``accelsim quant``: a float model and calibration data in, an exact integer model out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from accelsim.cli.console import note, print_json, progress_bar, say, say_written, show, table
from accelsim.cli.output_folder import check_output_folder, outpath_option, output_folder
from accelsim.cli.state import State, pass_state
from accelsim.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from accelsim.graph.model import Graph
    from accelsim.quant.observers import Method
    from accelsim.quant.report import QuantizationReport

METHODS = ("min_max", "percentile", "mse", "kl")
"""As `accelsim.quant.observers.METHODS`, which is not imported for a help text."""
FRAMEWORKS = ("onnx", "pytorch")
OTHER_FRAMEWORKS = ("tensorflow", "caffe", "paddle")
"""Words of the vendor's tool that are understood, and refused."""
VARIANTS = ("lstm", "blstm", "gru", "bgru", "rnn", "brnn")
"""As `accelsim.frontend.pytorch.VARIANTS`, which is not imported for a help text."""
_SUFFIXES = {".onnx": "onnx", ".pth": "pytorch", ".pt": "pytorch"}
_SCALES_A_LINE = 10
FEW_FRAMES = 100
"""With fewer calibration frames than this, and less than half of the data, a note says that there are more."""


@dataclass(frozen=True)
class ModelFile:
    """Which file holds the model, how to read it, and what to call it.

    Parameters
    ----------
    path : Path
    framework : str
        One of `FRAMEWORKS`.
    name : str
        Results are named after it.
    variant : str or None
        The kind of network a state_dict should hold, where it was named.
    """

    path: Path
    framework: str
    name: str
    variant: str | None = None


@click.command(
    "quant",
    short_help="Quantize a float model to int8 with calibration data.",
    epilog="The vendor's form works as well: accelsim --chip TX5368AV200 quant onnx -m lstm -w lstm.pth -f pytorch "
    "-s OUT -d calibration.npz -i 10 -qm min_max",
)
@click.argument("target", required=False, type=click.Choice(["onnx"]), metavar="[onnx]")
@click.option(
    "-m",
    "--model",
    required=True,
    metavar="FILE|NAME",
    help="The float model: a .onnx file, or a .pth file of a PyTorch state_dict. With --weights it names the result "
    "instead; for PyTorch it is then the kind of network: lstm, blstm, gru, bgru, rnn or brnn.",
)
@click.option(
    "-w",
    "--weights",
    "--weight",
    "weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file with the weights, where --model is a name.",
)
@click.option(
    "-f",
    "--framework",
    type=click.Choice([*FRAMEWORKS, *OTHER_FRAMEWORKS]),
    metavar="|".join(FRAMEWORKS),
    help="What made the model.  [default: by the file's suffix]",
)
@click.option(
    "-d",
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Calibration frames, typical input: .npz or .npy, float32 [N, T, F] (a .npz: its array `features`, else its "
    "only one).",
)
@click.option("--input-key", metavar="NAME", help="Name of the array in a .npz of --data.")
@click.option(
    "-i",
    "--batches",
    "--iteration",
    "batches",
    type=click.IntRange(min=1),
    metavar="N",
    help="Calibration batches to use, the first of the data.  [default: all of it]  A note tells where that is fewer "
    f"than {FEW_FRAMES} frames and less than half of those there.",
)
@click.option(
    "-bs",
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Frames a batch.",
)
@click.option(
    "-qm",
    "--method",
    "--quant-mode",
    "method",
    type=click.Choice(METHODS),
    default="min_max",
    show_default=True,
    help="How the values observed become the range of an int8 tensor.",
)
@click.option(
    "--percentile",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="PERCENT",
    help="Share of the values that --method percentile covers.  [default: 99.99]",
)
@click.option(
    "--equalize/--no-equalize",
    default=True,
    show_default=True,
    help="Give every input feature its own scale, folded into the first layer's weights; or one scale to all.",
)
@click.option(
    "--cell-clip",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="BOUND",
    help="Bound of the LSTM cell state, at least one step of its int16 form.  [default: none]",
)
@click.option(
    "--head",
    type=click.Choice(["last", "all"]),
    default="last",
    show_default=True,
    help="For .pth files: whether the Linear layers see the last time step only, or each one.",
)
@click.option(
    "--nonlinearity",
    type=click.Choice(["tanh", "relu"]),
    default="tanh",
    show_default=True,
    help="For .pth files of nn.RNN layers: their activation, which the file does not say.",
)
@click.option(
    "--timesteps",
    type=click.IntRange(min=1),
    metavar="T",
    help="Length of a frame, where the model leaves it open.  [default: that of the data]",
)
@outpath_option("-s")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option(
    "-b",
    "--bit-width",
    type=click.Choice(["8", "16"]),
    default="8",
    metavar="8",
    help="Width of weights and activations; the vendor's option, of which 8 is supported.",
)
@click.option(
    "-uds",
    "--user-defined-script",
    "script",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The vendor's option; the script has to be there, but is never executed.",
)
@click.option("-if", "--infer-func", "function", metavar="NAME", help="The vendor's option; a function of that script.")
@pass_state
def quant_command(state: State, /, **options: Any) -> None:
    """Quantize a float model to int8 weights and activations.

    Writes NAME_quantize.onnx: an exact integer program that ONNX Runtime runs as it is, and that
    `accelsim compile` takes. Prints every layer's scale, zero point and signal to quantization noise ratio.
    """
    _quantize(state, Options(**options))


@dataclass(frozen=True)
class Options:
    """The command's options, as parsed."""

    target: str | None
    model: str
    weights: Path | None
    framework: str | None
    data: Path
    input_key: str | None
    batches: int | None
    batch_size: int
    method: Method
    percentile: float | None
    equalize: bool
    cell_clip: float
    head: Literal["last", "all"]
    nonlinearity: Literal["tanh", "relu"]
    timesteps: int | None
    outpath: Path
    as_json: bool
    bit_width: str
    script: Path | None
    function: str | None


def _quantize(state: State, options: Options) -> None:
    model = model_file(options.model, options.weights, options.framework)
    _check_options(options)
    check_output_folder(options.outpath)
    if state.chip is not None:
        from accelsim.chip import load_chip

        load_chip(state.chip)

    from accelsim.quant.calibration_data import load_frames
    from accelsim.quant.observers import DEFAULT_PERCENTILE
    from accelsim.quant.onnx_writer import write_quantized_onnx
    from accelsim.quant.quantize import quantize

    features = load_frames(options.data, key=options.input_key)
    graph = _load(model, options, features)
    if features.shape[1:] != graph.input.shape:
        sizes = ", ".join(str(size) for size in graph.input.shape)
        raise InputError(options.data, "", f"shape {list(features.shape)}", f"[N, {sizes}], as {model.path} says")
    with progress_bar("quantizing", silent=options.as_json) as progress:
        result = quantize(
            graph,
            features,
            method=options.method,
            percentile=DEFAULT_PERCENTILE if options.percentile is None else options.percentile,
            batches=options.batches,
            batch_size=options.batch_size,
            equalize=options.equalize,
            cell_clip=options.cell_clip,
            progress=progress,
        )
    with output_folder(options.outpath) as folder:
        written = folder / f"{model.name}_quantize.onnx"
        write_quantized_onnx(result.qgraph, written)
    for text in _notes(model, options, graph, result.report.frames, len(features)):
        note(text)
    if options.as_json:
        more = {"frames_in_data": len(features), "left_out": list(graph.left_out), "files": [str(written)]}
        print_json(result.report.to_dict() | more)
        return
    _print_report(result.report, len(features))
    say_written([written])


def _notes(model: ModelFile, options: Options, graph: Graph, used: int, held: int) -> Iterator[str]:
    """What the user should know of a result that is right, but may not be all that was asked for."""
    if options.script is not None or options.function is not None:
        given = " ".join(str(word) for word in (options.script, options.function) if word)
        yield f"{given}: user scripts are never executed; the network is read from {model.path}"
    if graph.left_out:
        names = ", ".join(map(repr, graph.left_out))
        told = f"left out, being final states of recurrent layers: {names}; what is kept is {graph.output.name!r}"
        yield f"{model.path}: {told}"
    if used < FEW_FRAMES and 2 * used < held:
        yield f"{options.data}: {used} of {held:,} frames are used to calibrate; more of them usually fit better"


def _check_options(options: Options) -> None:
    """Options that contradict one another, or ask for what there is not."""
    if options.percentile is not None and options.method != "percentile":
        raise InputError("--percentile", "", f"given with --method {options.method}", "--method percentile")
    if options.bit_width != "8":
        raise InputError("--bit-width", "", f"{options.bit_width} is not supported", "8")
    if options.script is not None and not options.script.is_file():
        expected = "the script's file, though it is not executed; or no --user-defined-script"
        found = "is no file" if options.script.exists() else "no such file"
        raise InputError(options.script, "", found, expected)


def model_file(model: str, weights: Path | None, framework: str | None) -> ModelFile:
    """Which model the options mean.

    Parameters
    ----------
    model : str
        A file; with `weights` a name.
    weights : Path or None
    framework : str or None

    Raises
    ------
    InputError
        A framework or a kind of network that is not supported, a file of another suffix, or a name without a file.
    """
    if framework in OTHER_FRAMEWORKS:
        raise InputError("--framework", "", f"{framework} is not supported", f"{' or '.join(FRAMEWORKS)}; export ONNX")
    path = weights if weights is not None else Path(model)
    found = framework or _SUFFIXES.get(path.suffix.lower())
    if weights is None and path.suffix.lower() not in _SUFFIXES:
        if model in VARIANTS or framework == "pytorch":
            _check_variant(model)
            raise InputError("--weights", "", f"missing: --model {model} is a name, not a file", "-w FILE.pth")
        raise InputError("--model", "", f"{model!r} is no model file", ".onnx or .pth")
    if found is None:
        raise InputError(path, "", f"suffix {path.suffix!r} names no framework", "--framework onnx or pytorch")
    variant = None
    if weights is not None and found == "pytorch" and Path(model).suffix.lower() not in _SUFFIXES:
        _check_variant(model)
        variant = model
    name = Path(model).name
    return ModelFile(path, found, Path(name).stem if Path(name).suffix.lower() in _SUFFIXES else name, variant)


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise InputError("--model", "", f"{variant!r} is no kind of network", f"{known}, or a model file")


def _load(model: ModelFile, options: Options, features: NDArray[np.float32]) -> Graph:
    if model.framework == "pytorch":
        from accelsim.frontend.pytorch import load_pytorch

        if features.ndim != 3:
            raise InputError(options.data, "", f"shape {list(features.shape)}", "[N, T, F], frames of T time steps")
        return load_pytorch(
            model.path,
            timesteps=options.timesteps or features.shape[1],
            head=options.head,
            name=model.name,
            variant=model.variant,
            nonlinearity=options.nonlinearity,
        )
    from accelsim.frontend.onnx import load_onnx

    length = options.timesteps or (features.shape[1] if features.ndim == 3 else None)
    try:
        return load_onnx(model.path, timesteps=length)
    except InputError as error:
        if error.field != "timesteps" or options.timesteps is not None:
            raise
        # The length was the data's; so it is the data that does not fit.
        raise InputError(options.data, "", f"frames of {length} time steps", error.expected) from None


def _print_report(report: QuantizationReport, held: int) -> None:
    frames = f"{report.frames:,} calibration frame" + ("s" if report.frames != 1 else "")
    among = f" of {held:,}" if report.frames < held else ""
    say(f"{report.model}: {frames}{among}, method {report.method}, int8 weights and activations")
    # The notes are sentences: below the table, not in its last column.
    show(table(report.HEADERS[:-1], [row[:-1] for row in report.rows()], left=("layer", "operator")))
    for row in report.rows():
        if row[-1]:
            say(f"{row[0]}: {row[-1]}")
    if report.equalized:
        say("input scales, one a feature, by equalization (--no-equalize gives all one scale):")
        scales = [f"{scale:.4g}" for scale in report.input_scales]
        for start in range(0, len(scales), _SCALES_A_LINE):
            say("  " + " ".join(f"{scale:>9}" for scale in scales[start : start + _SCALES_A_LINE]))
    else:
        say(f"input scale, the same for every feature: {report.input_scales[0]:.4g}")
    if report.same_class is not None:
        say(f"same class as the float model: {report.same_class:,} of {frames}")

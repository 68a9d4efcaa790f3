"""The peers: which version, what each is given, what it says, and what it does and does not model."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import run_process
from tests.benchmarks.peers.shapes import KEYWORD, LARGE_STEP, Network, Product

_HERE = Path(__file__).resolve().parent
_REPOSITORY = _HERE.parents[2]
_ZIGZAG_ARRAY = 32


@dataclass(frozen=True)
class Peer:
    """A simulator or estimator of others.

    Parameters
    ----------
    name : str
    requirements : tuple of str
        What is installed, by pip; the first is the peer.
    models, lacks : str
        What its figure contains, and what a cycle-level simulation of a network has beside it.
    given : dict of network to str
        In words, for each network it is run on.
    prepare : callable
        (network, folder, the environment's programs) to the command; writes its files into the folder.
    cycles : callable
        (folder, standard output) to the cycles it says.
    limit_s : float
    """

    name: str
    requirements: tuple[str, ...]
    models: str
    lacks: str
    given: dict[Network, str]
    prepare: Callable[[Network, Path, Path], Sequence[str | Path]]
    cycles: Callable[[Path, str], int]
    limit_s: float = 600.0


_SCALESIM_CONFIG = """\
[general]
run_name = run
[architecture_presets]
ArrayHeight = 32
ArrayWidth = 64
IfmapSramSzkB = 128
FilterSramSzkB = 288
OfmapSramSzkB = 64
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = os
Bandwidth = 8
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = False
[run_presets]
InterfaceBandwidth = USER
UseRamulatorTrace = False
"""


def _prepare_scalesim(network: Network, folder: Path, programs: Path) -> list[str | Path]:
    config, topology = folder / "run.cfg", folder / "products.csv"
    config.write_text(_SCALESIM_CONFIG)
    lines = [f"{one.name},1,{one.rows},{one.columns}," for one in network.products()]
    topology.write_text("\n".join(["Layer,M,N,K,", *lines, ""]))
    return [programs / "python", _HERE / "scalesim_run.py", config, topology, folder / "results"]


def _scalesim_cycles(folder: Path, output: str) -> int:
    with (folder / "results" / "run" / "COMPUTE_REPORT.csv").open(newline="") as file:
        rows = [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    return sum(int(float(row["Total Cycles (incl. prefetch)"])) for row in rows)


def _prepare_vela(network: Network, folder: Path, programs: Path) -> list[str | Path]:
    model = folder / f"{network.name}.tflite"
    run_process([sys.executable, "-m", "tests.benchmarks.peers.tflite_model", network.name, model], folder=_REPOSITORY)
    return [programs / "vela", model, "--accelerator-config", "ethos-u55-128", "--output-dir", folder]


def _vela_cycles(folder: Path, output: str) -> int:
    (summary,) = folder.glob("*_summary_*.csv")
    with summary.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return int(float(row["cycles_total"]))


def _zigzag_products(network: Network) -> list[Product]:
    """Without those that the array holds at once: printing a mapping without loops in time, ZigZag 3.9.1 fails."""
    return [one for one in network.products() if max(one.rows, one.columns) > _ZIGZAG_ARRAY]


def _prepare_zigzag(network: Network, folder: Path, programs: Path) -> list[str | Path]:
    workload = folder / "products.yaml"
    lines = []
    for number, one in enumerate(_zigzag_products(network)):
        lines += [
            f"- id: {number}",
            f"  name: {one.name}",
            "  operator_type: Gemm",
            "  equation: O[b][k]+=I[b][c]*W[c][k]",
            "  loop_dims: [B, C, K]",
            f"  loop_sizes: [1, {one.columns}, {one.rows}]",
            "  operand_precision: {W: 8, I: 8, O: 16, O_final: 8}",
            f"  operand_source: {{I: {number}, W: {number}}}",
        ]
    workload.write_text("\n".join([*lines, ""]))
    return [programs / "python", _HERE / "zigzag_run.py", workload, folder / "results"]


def _zigzag_cycles(folder: Path, output: str) -> int:
    return int(output.split()[-1])


_PRODUCTS = {
    KEYWORD: f"its {len(KEYWORD.products())} products of a matrix by a vector, a layer each",
    LARGE_STEP: "its product, 4096 x 2048, as one layer",
}

PEERS = (
    Peer(
        name="SCALE-Sim",
        # With numpy 2.4 version 3.0.0 ends in a TypeError where it takes a one-element array for a number.
        requirements=("scalesim==3.0.0", "numpy==1.26.4", "pandas==2.3.3"),
        # Of its three dataflows the one with the fewest cycles on these shapes, and the least time to simulate them.
        models="an output-stationary systolic array of 32 x 64, three double-buffered SRAMs, DRAM at 8 words a cycle",
        lacks="values; activation functions and all that follows a product; order and overlap between layers; "
        "weights that stay on the chip from one time step to the next; a program",
        given=_PRODUCTS,
        prepare=_prepare_scalesim,
        cycles=_scalesim_cycles,
    ),
    Peer(
        name="Vela",
        requirements=("ethos-u-vela==5.2.0",),
        models="a whole int8 model compiled for Arm's Ethos-U55 with 128 MACs: an estimate of each operation's cycles, "
        "compute and memory traffic, added up",
        lacks="values; simulation: no cycle is stepped through, so no contention and no stalls; other machines",
        given={
            KEYWORD: "a `.tflite` model of its shapes: four LSTM operators, and the fully connected one at every time "
            "step",
            LARGE_STEP: "a `.tflite` model of one LSTM operator",
        },
        prepare=_prepare_vela,
        cycles=_vela_cycles,
    ),
    Peer(
        name="ZigZag",
        # Version 3.9.1 imports six and does not ask for it.
        requirements=("zigzag-dse==3.9.1", "six==1.17.0"),
        models="its own TPU-like machine, 32 x 32: latency and energy of each layer by formula, over the mappings it "
        "searches",
        lacks="values; simulation; activation functions; overlap between layers; a program",
        given=_PRODUCTS | {KEYWORD: f"its {len(_zigzag_products(KEYWORD))} products in the LSTM layers, a layer each"},
        prepare=_prepare_zigzag,
        cycles=_zigzag_cycles,
    ),
)

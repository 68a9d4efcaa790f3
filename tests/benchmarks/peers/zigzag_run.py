"""Runs in ZigZag's environment: `python zigzag_run.py WORKLOAD RESULTS`, on the TPU-like machine that comes with it."""

import sys
from pathlib import Path

import zigzag
from zigzag.api import get_hardware_performance_zigzag

workload, results = sys.argv[1:]
inputs = Path(zigzag.__file__).parent / "inputs"
energy_pj, cycles, *_ = get_hardware_performance_zigzag(
    workload,
    str(inputs / "hardware" / "tpu_like.yaml"),
    str(inputs / "mapping" / "tpu_like.yaml"),
    dump_folder=results,
    loma_show_progress_bar=False,
)
sys.stdout.write(f"cycles {cycles:.0f}\n")

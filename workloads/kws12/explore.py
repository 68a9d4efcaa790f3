"""The keyword model and its chip from Python, cell by cell: ``python -m workloads.kws12.explore`` or in a notebook.

Quantizes the trained network, runs the test clips, asks what limits it, and tries a few other chips. Editors that know
``# %%`` run it a cell at a time.
"""

# %% The model and the data that come with the package.
from pathlib import Path

import numpy as np
import pandas as pd

import accelsim

ARTEFACTS = Path(__file__).resolve().parent / "artefacts"

quantized = accelsim.quantize(ARTEFACTS / "lstm.pth", ARTEFACTS / "kws12_calib.npz")

# %% Compile it for a chip, and run clips: the same bits as the machine's, and the cycles of one clip.
chip = accelsim.load_chip("tx5368")
program = accelsim.compile(quantized, chip)
result = accelsim.run(program, ARTEFACTS / "kws12_test.npz")

with np.load(ARTEFACTS / "kws12_test.npz") as data:
    labels = data["labels"]
correct = int((result.output.argmax(axis=1) == labels).sum())
print(f"{correct} of {len(labels)} clips recognized, {result.cycles:,} cycles ({result.time_us:.2f} µs) each")

# %% Where the cycles go: a row a layer.
causes = [name for name in result.layers.columns if name.startswith("cause_")]
print(result.layers[["layer", "cycles", *causes, "dram_read_bytes", "energy_nj"]].to_string(index=False))

# %% As a picture.
result.plot().savefig("cycles_by_layer.png")

# %% How near the lower bound it is, and what sets that.
bound = result.profile.bound
print(f"lower bound {bound.cycles:,} cycles, set by: {bound.limit}")

# %% Other chips: each is compiled for, and its cycles are counted; values would be the same bits.
rows = []
for mac_rows in (8, 16, 32):
    for bytes_per_cycle in (1, 4, 16):
        other = chip.with_(mac_rows=mac_rows, dram_bytes_per_cycle=bytes_per_cycle)
        timing = accelsim.time(accelsim.compile(quantized, other))
        rows.append((mac_rows, bytes_per_cycle, timing.cycles, timing.profile.bound.limit))
points = pd.DataFrame(rows, columns=["mac.rows", "dram.bytes_per_cycle", "cycles", "bound_limit"])
print(points.pivot(index="mac.rows", columns="dram.bytes_per_cycle", values="cycles").to_string())

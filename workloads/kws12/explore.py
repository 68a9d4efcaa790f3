"""The keyword model and its chip from Python, cell by cell: ``python -m workloads.kws12.explore`` or in a notebook.

Quantizes the trained network, runs the test clips, asks what limits it, and tries a few other chips. Editors that know
``# %%`` run it a cell at a time.
"""

# %% The model and the data that come with the package.
from pathlib import Path

import numpy as np

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

# %% Other chips: each point is compiled for its chip, and its cycles are counted; values would be the same bits.
points = accelsim.sweep(quantized, chip, {"mac.rows": [8, 16, 32], "dram.bytes_per_cycle": "1:16:x4"})
print(points.pivot(index="mac.rows", columns="dram.bytes_per_cycle", values="cycles").astype(int).to_string())

# %% One of them, closer: which layers gain most from a wider bus?
wide = accelsim.compile(quantized, chip.with_(dram_bytes_per_cycle=16))
before, after = (accelsim.time(one).layers.set_index("layer")["cycles"] for one in (program, wide))
print((after - before).sort_values().to_string())

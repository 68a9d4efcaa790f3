"""Runs in SCALE-Sim's environment: `python scalesim_run.py CONFIG TOPOLOGY RESULTS`, without traces on disk."""

import sys

from scalesim.scale_sim import scalesim

config, topology, results = sys.argv[1:]
# A layout is asked for, and with all custom layouts off none of it is used.
simulator = scalesim(
    save_disk_space=True, verbose=False, config=config, topology=topology, layout=topology, input_type_gemm=True
)
simulator.run_scale(top_path=results)

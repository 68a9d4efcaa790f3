"""The example script runs as it stands, and says what is so."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_it_runs_in_a_folder_of_its_own(tmp_path: Path) -> None:
    # The package is the one under test, installed or not; the script is found in the checkout.
    paths = [*(path for path in sys.path if path), str(ROOT)]
    command = [sys.executable, "-m", "workloads.kws12.explore"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    correct, _, clips, *_ = told[0].split()
    assert int(clips) == 50
    assert int(correct) >= 48
    assert "fc_1" in done.stdout
    assert (tmp_path / "cycles_by_layer.png").read_bytes().startswith(b"\x89PNG")
    # Fewer bytes a cycle or fewer rows of the array take no fewer cycles.
    place = next(number for number, line in enumerate(told) if line.startswith("mac.rows"))
    table = [[int(number) for number in line.split()] for line in told[place + 1 : place + 4]]
    assert [row[0] for row in table] == [8, 16, 32]
    assert all(row[1] >= row[2] >= row[3] for row in table)
    assert all(above[column] >= below[column] for above, below in pairwise(table) for column in (1, 2, 3))

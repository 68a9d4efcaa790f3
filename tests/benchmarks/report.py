"""`python -m tests.benchmarks.report [--peers]`: measures, and writes reports/performance.md and performance.json."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.host import machine, versions
from tests.benchmarks.page import data, page
from tests.benchmarks.peers.run import run_peers
from tests.benchmarks.rows import REPOSITORY, ROWS, measure_rows

_TIMES = 5


def _told(text: str) -> None:
    sys.stderr.write(f"measuring {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.report", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also install and run the peers (minutes)")
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], help="only these rows")
    parser.add_argument("--times", type=int, default=_TIMES, help=f"runs of each row (default {_TIMES})")
    parser.add_argument("--outpath", type=Path, default=REPOSITORY / "reports", help="folder of the two files")
    options = parser.parse_args()
    chosen = [row for row in ROWS if options.rows is None or row.name in options.rows]
    # Where the files go says nothing of what is in them.
    words = [*(["--peers"] if options.peers else []), *(["--rows", *options.rows] if options.rows else [])]
    words += ["--times", str(options.times)] if options.times != _TIMES else []
    command = " ".join(["python -m tests.benchmarks.report", *words])
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    figures = measure_rows(chosen, options.times, _told)
    peers = run_peers(_told) if options.peers else []
    parts = (command, date, machine(), versions(), chosen, figures, peers)
    options.outpath.mkdir(parents=True, exist_ok=True)
    (options.outpath / "performance.md").write_text(page(*parts))
    (options.outpath / "performance.json").write_text(json.dumps(data(*parts), indent=2) + "\n")


if __name__ == "__main__":
    main()

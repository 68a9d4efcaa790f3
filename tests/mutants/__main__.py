"""Put each fault into a copy of the code and run the tests that are to catch it: `python -m tests.mutants`.

Prints what caught it, or that it survived; exits with 1 if one did. All take about an hour of one core, most of it
compiling; `--jobs 2` two at a time, `--only TEXT` those whose name contains a text.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tests.mutants.catalogue import ROOT, Mutant, mutants

_PARTS = ("accelsim", "configs", "isa", "tests", "workloads", "pyproject.toml", "README.md")
_MOST_PROCESSOR_SECONDS = 300
"""Three times what the tests take that find nothing."""
_BROKEN = re.compile(r"numba\.core\.errors\.|SyntaxError|NameError|ERROR collecting")
_FAILED = re.compile(r"^FAILED (.+?)(?: - |$)", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose file or fault contains it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many at a time (default 1)")
    options = parser.parse_args()
    chosen = [mutant for mutant in mutants() if options.only in mutant.name]
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = []
        for mutant, (verdict, seconds) in zip(chosen, pool.map(judge, chosen), strict=True):
            verdicts.append(verdict)
            click.echo(f"{verdict:<90} {seconds:4.0f} s  {mutant.name}")
    missed = sum(not verdict.startswith("caught") for verdict in verdicts)
    click.echo(f"{len(verdicts) - missed} of {len(verdicts)} faults are caught")
    return 1 if missed else 0


def judge(mutant: Mutant) -> tuple[str, float]:
    """What its tests say of a fault, and how long they took."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in _PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        path = copy / mutant.file
        text = path.read_text()
        if text.count(mutant.old) != 1:
            return f"not found {text.count(mutant.old)} times", 0
        path.write_text(text.replace(mutant.old, mutant.new))
        verdict = _run(copy, mutant)
    return verdict, time.monotonic() - begin


def _run(copy: Path, mutant: Mutant) -> str:
    # Processor time is limited, as time on the clock says nothing where others are at work.
    command = ["sh", "-c", f'ulimit -S -t {_MOST_PROCESSOR_SECONDS} && exec "$@"', "sh", sys.executable, "-m", "pytest"]
    command += ["-n", "0", "-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutants.quick", "--hypothesis-seed=0", *mutant.judges]
    # Little time goes into compiling, for code that runs for seconds.
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "ACCELSIM_CACHE_DIR": str(copy / "cache"),
        "ACCELSIM_SHARED": os.environ.get("ACCELSIM_SHARED", str(ROOT.parent / "shared")),
        "NUMBA_OPT": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return "SURVIVED"
    failed = _FAILED.search(done.stdout)
    if done.returncode == -signal.SIGXCPU:
        return "caught: does not end"
    if -done.returncode in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP):
        return f"NO VERDICT: somebody else ended it with signal {-done.returncode}"
    if done.returncode < 0:
        return f"caught: ends with signal {-done.returncode}"
    if done.returncode != 1 or failed is None or _BROKEN.search(done.stdout):
        return "NO FAULT BUT AN ERROR: " + (done.stdout.strip().splitlines() or [done.stderr])[-1][:60]
    return f"caught by {failed[1].removeprefix('tests/')}"


if __name__ == "__main__":
    sys.exit(main())

"""Peers installed, each into an environment of its own under a cache folder, and run."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Measured, ProcessFailed, run_process
from tests.benchmarks.peers.catalogue import PEERS, Peer
from tests.benchmarks.peers.shapes import Network

_INSTALL_LIMIT_S = 900.0


@dataclass(frozen=True)
class PeerRun:
    """What became of a peer on a network.

    Parameters
    ----------
    peer, version, network, given : str
    measured : Measured or None
    cycles : int or None
        As the peer says.
    failure : str
        Why there are none.
    """

    peer: str
    version: str
    network: Network
    given: str
    measured: Measured | None
    cycles: int | None
    failure: str


def run_peers(told: Callable[[str], None]) -> list[PeerRun]:
    """Every peer on every network it is given; one that can't be installed or run is reported with the reason.

    Parameters
    ----------
    told : callable
        Called with what comes next.
    """
    runs = []
    for peer in PEERS:
        told(f"{peer.name}: {', '.join(peer.requirements)}")
        try:
            programs, failure = _environment(peer), ""
        except (ProcessFailed, OSError) as error:
            programs, failure = None, f"not installed: {error}"
        for network in peer.given:
            told(f"{peer.name}: {network.title}")
            runs.append(_run(peer, network, programs, failure))
    return runs


def _run(peer: Peer, network: Network, programs: Path | None, failure: str) -> PeerRun:
    version = peer.requirements[0].partition("==")[2]
    measured, cycles = None, None
    if programs is not None:
        try:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                command = peer.prepare(network, folder, programs)
                measured = run_process(command, folder=folder, limit_s=peer.limit_s)
                cycles = peer.cycles(folder, measured.output)
        except (ProcessFailed, OSError, ValueError, KeyError) as error:
            measured, failure = None, str(error)
    return PeerRun(peer.name, version, network, peer.given[network], measured, cycles, failure)


def _environment(peer: Peer) -> Path:
    """The folder of the programs of the peer's environment, which is made if it is not there."""
    key = hashlib.sha256("\n".join((sys.version, *peer.requirements)).encode()).hexdigest()[:12]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim" / "peers"
    folder = base / f"{peer.name.lower()}-{key}"
    complete = folder / "complete"
    if not complete.exists():
        run_process([sys.executable, "-m", "venv", "--clear", folder], limit_s=_INSTALL_LIMIT_S)
        python = folder / "bin" / "python"
        run_process([python, "-m", "pip", "install", "--quiet", *peer.requirements], limit_s=_INSTALL_LIMIT_S)
        complete.touch()
    return folder / "bin"

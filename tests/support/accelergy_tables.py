"""Small tables in the form Accelergy writes them, and a map of them."""

from __future__ import annotations

from pathlib import Path

# The form of Accelergy 0.4: a text for 1e-09, as YAML 1.1 has it; ranges in names; several energies of one action.
ERT = """\
ERT:
    version: '0.4'
    tables:
      - name: chip.DRAM[1..1]
        actions:
          - {name: read, arguments: {global_cycle_seconds: 1e-09}, energy: 500.0}
          - {name: write, arguments: {global_cycle_seconds: 1e-09}, energy: 524.0}
      - name: chip.buffer[1..4]
        actions:
          - {name: write, arguments: {}, energy: 12.0}
          - {name: read, arguments: {}, energy: 4.0}
      - name: chip.PE.mac[1..256]
        actions:
          - {name: compute, arguments: {gated: 0}, energy: 0.5}
          - {name: compute, arguments: {gated: 1}, energy: 5e-3}
          - {name: idle, energy: 0.01}
"""
ART = """\
ART:
    version: '0.4'
    tables:
      - {name: 'chip.DRAM[1..1]', area: 0.0}
      - {name: 'chip.buffer[1..4]', area: 4096.0}
      - {name: 'chip.PE.mac[1..256]', area: 417.0}
"""
MAP = """\
name = "mine"
base = "45nm"
[mac]
component = "chip.PE.mac"
actions = ["compute"]
arguments = { gated = 0 }
[sram.weights]
component = "chip.buffer[1..4]"
actions = ["read", "write"]
access_bytes = 4
capacity_bytes = 1024
[dram]
component = "chip.DRAM"
actions = ["read", "write"]
access_bytes = 8
"""


def accelergy_files(folder: Path, ert: str = ERT, mapping: str = MAP, art: str = ART) -> tuple[Path, Path, Path]:
    for name, text in (("ERT.yaml", ert), ("map.toml", mapping), ("ART.yaml", art)):
        (folder / name).write_text(text)
    return folder / "ERT.yaml", folder / "map.toml", folder / "ART.yaml"

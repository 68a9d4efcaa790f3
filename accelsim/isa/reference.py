"""The text of ISA.md."""

from __future__ import annotations

from accelsim.isa.definition import Definition


def reference_text(rules: Definition, command: str) -> str:
    """ISA.md, whole."""
    return f"# {rules.name} {command}\n"

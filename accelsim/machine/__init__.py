"""Machines that run programs: `functional` for the bits alone, `reference` cycle by cycle."""

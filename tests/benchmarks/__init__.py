"""How fast the simulator is, and how large: `python -m tests.benchmarks.report` writes reports/performance.md."""

"""Golden traces: hand-written programs on a tiny chip, their cycles worked out by hand."""

"""Networks of a given shape on a chip, and published machines' figures beside what the simulator says."""

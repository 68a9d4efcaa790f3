"""Many points at once: sweeps over chips, models and batches, searches among them, and what they found."""

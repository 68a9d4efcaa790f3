"""Front ends: one model file format each, read into a `graph.Graph`."""

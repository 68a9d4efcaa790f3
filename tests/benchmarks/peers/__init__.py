"""Other simulators and estimators on the same layer shapes, each in an environment of its own."""

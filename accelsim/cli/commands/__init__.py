"""The commands, one module each; what they need beyond the command line is imported when they run."""

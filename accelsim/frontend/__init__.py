"""accelsim.frontend."""

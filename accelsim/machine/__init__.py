"""accelsim.machine."""

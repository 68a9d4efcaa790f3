"""accelsim.timing."""

"""accelsim.compiler."""

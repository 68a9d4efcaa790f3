"""Compile kernels into the cache: ``python -m accelsim.jit accelsim.machine.functional:run ...``."""

import sys
from importlib import import_module

for name in sys.argv[1:]:
    module, _, function = name.partition(":")
    getattr(import_module(module), function).prepare()

"""Object code to an address, by llvmlite alone."""

from __future__ import annotations

from functools import cache
from typing import Any

SYMBOL = "accelsim_kernel"
"""The function's name in object code."""
_engines: list[Any] = []
"""What owns the code that is loaded: it stays."""


def address(code: bytes, name: str) -> int:
    """Load a kernel.

    Parameters
    ----------
    code : bytes
        As `build.object_code` makes it: whole, and of this processor.
    name : str
        The kernel's, for a debugger.
    """
    llvm = _llvm()
    module: Any = llvm.parse_assembly("")
    module.name = name
    target: Any = llvm.Target.from_default_triple()
    engine: Any = llvm.create_mcjit_compiler(module, target.create_target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    found: int = engine.get_function_address(SYMBOL)
    _engines.append(engine)
    return found


@cache
def processor() -> str:
    """What machine code is made for: the processor and all that it can do."""
    llvm = _llvm()
    features: Any = llvm.get_host_cpu_features()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features.flatten()}"


@cache
def _llvm() -> Any:
    # Loading it takes a while: only who compiles or runs something needs it.
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm

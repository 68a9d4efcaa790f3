"""Functions compiled to machine code, by numba: *parts*, which call each other, and *kernels*, which Python calls.

Their arguments are numbers, and addresses of numbers in arrays. So a kernel's object code stands alone: it is kept on
disk, and a process that finds it there loads it without numba, whose import and code cache would take longer than most
runs.

    kernel.py    what stands before a function: `part`, `kernel`
    cache.py     object code on disk, under a key of all that it is made of
    load.py      object code to an address, by llvmlite alone
    build.py     a function to object code, by numba
    beside.py    several kernels compiled by two processes at a time
"""

from accelsim.jit.kernel import Float64s, Int8s, Int16s, Int32s, Int64s, Kernel, UInt8s, call, kernel, part

__all__ = ["Float64s", "Int8s", "Int16s", "Int32s", "Int64s", "Kernel", "UInt8s", "call", "kernel", "part"]

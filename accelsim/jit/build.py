"""A kernel to object code, by numba.

Numba compiles each function that a jitted one calls as a unit of its own, which it optimizes and turns into machine
code, and links its callees' code into each caller's, there to be optimized once more. Here parts are only taken to
LLVM's language; they are linked into their kernel, which is optimized and turned into machine code once. And of
numba's passes those are left out that find nothing in functions of numbers alone: both together make compiling more
than twice as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba.core import codegen, compiler, compiler_lock, registry, typed_passes, types, untyped_passes
from numba.core import ir as statements
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model, typeof_impl

from accelsim.errors import InternalError
from accelsim.jit.kernel import ADDRESSES, AddressCall, Kernel, Part
from accelsim.jit.load import SYMBOL

_Library: Any = codegen.JITCodeLibrary
_Lowering: Any = typed_passes.NativeLowering
_Compiler: Any = compiler.CompilerBase
_Callable: Any = types.Callable
_Opaque: Any = types.Opaque
_Manager: Any = PassManager
_register_pass: Any = register_pass
_as_pass = _register_pass(mutates_CFG=True, analysis_only=False)
_new_flags: Any = compiler.Flags
_compile: Any = compiler.compile_extra
_THERE = {"memcpy", "memmove", "memset"}
"""What object code may call that is not in it: of C's library."""
_FRONT = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.NoPythonSupportedFeatureValidation,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
)


def object_code(kernel: Kernel[..., Any]) -> bytes:
    """Machine code for this processor, as an object file with one function, `load.SYMBOL`.

    Parameters
    ----------
    kernel : Kernel

    Raises
    ------
    numba.core.errors.NumbaError
        What can't be compiled.
    InternalError
        It needs something that is not in it, or raises something.
    """
    with compiler_lock.global_compiler_lock:
        _typing().refresh()
        _target().refresh()
        arguments = tuple(_kind(name) for name in kernel.arguments)
        compiled = _compiled(kernel.function, arguments, _KernelCompiler)
        if compiled.signature.return_type != _kind(kernel.result):
            raise InternalError(f"the kernel {kernel.name} gives {compiled.signature.return_type}, not {kernel.result}")
        library = compiled.library
        library.finalize()
        module = library._final_module
        names = [one.name for one in (*module.functions, *module.global_variables) if one.is_declaration]
        lacking = [name for name in names if not name.startswith("llvm.") and name not in _THERE]
        if lacking:
            raise InternalError(f"the kernel {kernel.name} needs {', '.join(lacking)}")
        code: bytes = library._codegen._tm.emit_object(module)
    return code


def _typing() -> Any:
    return registry.cpu_target.typing_context


def _target() -> Any:
    return registry.cpu_target.target_context


def _kind(name: str) -> Any:
    pointer: Any = types.CPointer
    if name in ADDRESSES:
        return pointer(getattr(types, ADDRESSES[name]))
    return {"int": types.int64, "float": types.float64, "None": types.none}[name]


def settings_are_known() -> bool:
    """Whether numba's settings are those of its environment variables alone, which are in the cache's key."""
    return not Path(".numba_config.yaml").exists()


def _compiled(function: Callable[..., Any], arguments: tuple[Any, ...], pipeline: Any) -> Any:
    flags = _new_flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    return _compile(_typing(), _target(), function, arguments, None, flags, {}, pipeline_class=pipeline)


class _PartLibrary(_Library):  # type: ignore[misc]
    """A part's code, which is not optimized on its own."""

    def add_linking_library(self, library: Any) -> None:
        if not isinstance(library, _PartLibrary):
            library._ensure_finalized()
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        self._finalized = True


class _KernelLibrary(_PartLibrary):
    """A kernel's code and that of all its parts, optimized as a whole."""

    def finalize(self) -> None:
        self._linking_libraries = _all_linked(self)
        super(_PartLibrary, self).finalize()

    def _finalize_final_module(self) -> None:
        # Numba would load it here.
        self._finalized = True


def _all_linked(library: Any) -> list[Any]:
    """The libraries that one needs, and those that these need."""
    found: dict[int, Any] = {}
    left = [library]
    while left:
        for one in left.pop()._linking_libraries:
            if id(one) not in found:
                found[id(one)] = one
                if isinstance(one, _PartLibrary):
                    left.append(one)
    return list(found.values())


def _check_raises_nothing(state: Any) -> None:
    """Nobody would hear of an exception: a kernel's status is not looked at."""
    for block in state.func_ir.blocks.values():
        for statement in block.body:
            if isinstance(statement, (statements.Raise, statements.StaticRaise)):
                raise InternalError(f"{state.func_id.func_qualname} raises, which compiled functions can't")


@_as_pass
class _PartLowering(_Lowering):  # type: ignore[misc]
    _name = "accelsim_part_lowering"

    def run_pass(self, state: Any) -> bool:
        """As numba's, with a library of another kind, and for other compiled functions alone."""
        _check_raises_nothing(state)
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        _Lowering.run_pass(self, state)
        lowered = state["cr"]
        key = object()
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


@_as_pass
class _KernelLowering(_Lowering):  # type: ignore[misc]
    _name = "accelsim_kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        """As numba's, and a function of C's calling convention beside it."""
        _check_raises_nothing(state)
        context, library = state.targetctx, _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library = library
        _Lowering.run_pass(self, state)
        described = state["cr"].fndesc
        module: Any = library.create_ir_module(SYMBOL)
        inner = context.call_conv.get_function_type(described.restype, described.argtypes)
        callee = ir.Function(module, inner, described.llvm_func_name)
        returns_none = described.restype == types.none
        result = ir.VoidType() if returns_none else context.get_value_type(described.restype)
        kinds = [context.get_value_type(kind) for kind in described.argtypes]
        function: Any = ir.Function(module, ir.FunctionType(result, kinds), SYMBOL)
        builder: Any = ir.IRBuilder(function.append_basic_block())
        # What numba's own functions raise: nobody could be told.
        status, value = context.call_conv.call_function(
            builder, callee, described.restype, described.argtypes, function.args
        )
        with builder.if_then(status.is_error, likely=False):
            builder.call(module.declare_intrinsic("llvm.trap", (), ir.FunctionType(ir.VoidType(), ())), ())
            builder.unreachable()
        if returns_none:
            builder.ret_void()
        else:
            builder.ret(value)
        library.add_ir_module(module)
        return True


def _pipeline(lowering: Any) -> Any:
    class Pipeline(_Compiler):  # type: ignore[misc]
        def define_pipelines(self) -> list[Any]:
            manager = _Manager("accelsim")
            for one in (*_FRONT, lowering, typed_passes.NoPythonBackend):
                manager.add_pass(one, one.__name__)
            manager.finalize()
            return [manager]

    return Pipeline


_PartCompiler, _KernelCompiler = _pipeline(_PartLowering), _pipeline(_KernelLowering)


class _PartType(_Callable, _Opaque):  # type: ignore[misc]
    """Numba's type of a part: what is called, compiled for types of arguments when a call has them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._versions: dict[tuple[Any, ...], Any] = {}
        super().__init__(f"part({function.__module__}.{function.__name__})")

    @property
    def key(self) -> Any:
        """What makes two of these types one."""
        return self._function

    def get_call_type(self, _context: Any, arguments: Any, keywords: Any) -> Any:
        """The signature for some arguments; the part is compiled for them."""
        if keywords:
            raise TypingError(f"{self.name} is called with keywords")
        # One version for all integers: numba would compile another for each constant.
        unliteral: Any = types.unliteral
        return self._version(tuple(map(unliteral, arguments))).signature

    def get_call_signatures(self) -> tuple[tuple[Any, ...], bool]:
        """Those compiled so far, for an error's text."""
        return tuple(one.signature for one in self._versions.values()), True

    def get_impl_key(self, signature: Any) -> Any:
        """What the compiled function was registered with."""
        return self._version(signature.args).entry_point

    def _version(self, arguments: tuple[Any, ...]) -> Any:
        if arguments not in self._versions:
            self._versions[arguments] = _compiled(self._function, arguments, _PartCompiler)
        return self._versions[arguments]


_register: Any = register_model(_PartType)
_register(models.OpaqueModel)


@typeof_impl.register(Part)
def _type_of_part(part: Part, _context: Any) -> Any:
    if part.type is None:
        part.type = _PartType(part.function)
    return part.type


def _call(_context: Any, address: Any, s: Any, c: Any, p: Any, log: Any, marks: Any, number: Any) -> Any:
    """Call the function that is at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        form = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.inttoptr(values[0], form.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, s, c, p, log, marks, types.int64), generate


_call_address: Any = intrinsic(_call)


@typeof_impl.register(AddressCall)
def _type_of_call(_: AddressCall, _context: Any) -> Any:
    return _typing().resolve_value_type(_call_address)

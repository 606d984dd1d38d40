"""The decorators of all compiled functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NopythonTypeInference

F = TypeVar("F", bound=Callable[..., Any])

# Nothing in this package allocates an array in compiled code, hence no reference counting, which would cost more than the simulation.
OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}


@cache
def _stamp() -> tuple[float, int]:
    """Newest change and total size of the sources that compiled code is made of."""
    folder = Path(__file__).parent
    shared = [folder / f"{name}.py" for name in ("jit", "state", "cost_table")]
    files = [path.stat() for path in (*shared, *folder.glob("*kernel*.py"))]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


def compiled(function: F) -> F:
    """Machine code on the first call, kept on disk for the next process.

    numba looks only at the file of a function itself when it asks whether the code on disk is still good. Our functions call each other
    across files, so all of them are looked at instead: a changed policy is never run as it was before.
    """
    made = njit(cache=True, nogil=True, **OPTIONS)(function)
    made._cache._cache_file._source_stamp = _stamp()
    return cast(F, made)


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Code of a function that only other compiled functions call: kept as it is, to be optimised once, within its last caller.

    numba would optimise it here and again in each of its callers, and make machine code of it that nobody runs: two thirds of all the
    time it takes to compile this package.
    """

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return _NoEnvironment()


class _NoEnvironment:
    """There is no machine code whose Python environment would have to be set."""

    def set_env(self, name: str, env: Any) -> None:
        pass


@register_pass(mutates_CFG=False, analysis_only=False)
class _IntoPartLibrary(FunctionPass):  # type: ignore[misc]
    _name = "serving_into_part_library"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return True


class _PartCompiler(CompilerBase):  # type: ignore[misc]
    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_IntoPartLibrary, NopythonTypeInference)
        pipeline.finalize()
        return [pipeline]


def part(function: F) -> F:
    """A piece of compiled functions, never called from Python."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _PartCompiler}
    return cast(F, njit(**options, **OPTIONS)(function))


def inlined(function: F) -> F:
    """A part that becomes a piece of its caller: what runs once a token and has to be fast."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _PartCompiler, "forceinline": True}
    return cast(F, njit(**options, **OPTIONS)(function))

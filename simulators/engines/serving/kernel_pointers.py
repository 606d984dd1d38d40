"""The state of a simulation, and the cost tables, as one pointer each inside compiled code.

`state.Sim` is twenty arrays and `CostTables` some forty fields. Handed from function to function by value they would be more than a
hundred words a call, which costs more than most of the functions do, and far more when compiling. Compiled code therefore holds the
address of a table that has a row for every field: `sim.requests` reads its row. Reading a field is all that these types can do.
"""

from __future__ import annotations

import struct
import sys
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_getattr_generic, models, register_model
from numba.np import arrayobj
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from simulators.engines.serving.cost_table import MATRICES, CostTables
from simulators.engines.serving.state import CACHE, ITERATION, REPLICA, REQUEST, SIGNAL, SLOT, TIER, WORLD, Sim

WORDS = 3  # a row of the table: address and two lengths, or a number
SIM_ARRAYS: dict[str, tuple[Any, int]] = {
    "requests": (REQUEST, 1),
    "replicas": (REPLICA, 1),
    "world": (WORLD, 1),
    "running": (np.int64, 2),
    "batch": (np.int64, 2),
    "heads": (np.int64, 2),
    "service": (np.float64, 2),
    "weights": (np.float64, 1),
    "itl_hist": (np.int64, 1),
    "itl_edges_s": (np.float64, 1),
    "itl_first_bin": (np.int64, 1),
    "log": (ITERATION, 1),
    "signals": (SIGNAL, 2),
    "tiers": (TIER, 1),
    "caches": (CACHE, 1),
    "slots": (SLOT, 1),
    "heap": (np.int64, 1),
    "table": (np.int64, 1),
    "hash_ids": (np.int64, 1),
    "block_tier": (np.int8, 1),
}


INT, FLOAT = 0, 0.0  # fields that are one number


def _cost_field(name: str, kind: str) -> Any:
    if "Floats" in kind:
        return np.float64, 2 if name in MATRICES else 1
    return FLOAT if "float" in kind else INT


COST_ARRAYS = {name: _cost_field(name, str(kind)) for name, kind in CostTables.__annotations__.items()}


def _numba_type(field: Any) -> Any:
    if not isinstance(field, tuple):
        return types.float64 if isinstance(field, float) else types.int64
    return types.Array(from_dtype(np.dtype(field[0])), field[1], "C")


class FieldsType(types.Type):  # type: ignore[misc]
    """A pointer to a table of fields."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        super().__init__(name=name)
        self.fields = {field: _numba_type(kind) for field, kind in fields.items()}


SIM, COSTS = FieldsType("ServingSim", SIM_ARRAYS), FieldsType("ServingCosts", COST_ARRAYS)


def sim_table(sim: Sim) -> NDArray[np.int64]:
    return _table(sim, SIM_ARRAYS)


def cost_table(tables: CostTables) -> NDArray[np.int64]:
    return _table(tables, COST_ARRAYS)


def _table(values: NamedTuple, fields: dict[str, Any]) -> NDArray[np.int64]:
    """The table behind a pointer. It holds addresses: the arrays have to outlive it."""
    return np.array([_row(name, kind, getattr(values, name)) for name, kind in fields.items()], dtype=np.int64)


def _row(name: str, kind: Any, value: Any) -> tuple[int, int, int]:
    if not isinstance(kind, tuple):
        return (int.from_bytes(struct.pack("=d", value), sys.byteorder, signed=True) if isinstance(kind, float) else int(value), 0, 0)
    dtype, dims = kind
    if value.dtype != dtype or value.ndim != dims or not value.flags.c_contiguous:
        raise TypeError(f"{name} is {value.dtype} {value.shape}; the compiled code expects {dims} dimensions of {dtype}, contiguous.")
    return (value.ctypes.data, *value.shape, 0)[:WORDS]


@register_model(FieldsType)
class _FieldsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64).as_pointer())


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data


@intrinsic  # type: ignore[untyped-decorator]
def open_sim(context: Any, table: Any) -> Any:
    """The Sim behind a `sim_table`."""
    return SIM(table), _pointer


@intrinsic  # type: ignore[untyped-decorator]
def open_costs(context: Any, table: Any) -> Any:
    """The CostTables behind a `cost_table`."""
    return COSTS(table), _pointer


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = FieldsType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        return kind.fields.get(name)


@lower_getattr_generic(FieldsType)  # type: ignore[untyped-decorator]
def _read_field(context: Any, builder: Any, kind: Any, pointer: Any, name: str) -> Any:
    field = kind.fields[name]
    first = list(kind.fields).index(name) * WORDS

    def word(k: int) -> Any:
        return builder.load(cgutils.gep_inbounds(builder, pointer, context.get_constant(types.intp, first + k)))

    if field == types.float64:
        return builder.bitcast(word(0), ir.DoubleType())
    if not isinstance(field, types.Array):
        return word(0)
    array = arrayobj.make_array(field)(context, builder)
    itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(field.dtype)))
    shape = [word(1 + k) for k in range(field.ndim)]
    strides = [itemsize] if field.ndim == 1 else [builder.mul(shape[1], itemsize), itemsize]
    data = builder.inttoptr(word(0), array.data.type)
    arrayobj.populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
    return impl_ret_borrowed(context, builder, field, array._getvalue())

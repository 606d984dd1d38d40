"""A small safe expression language: calculator formulas, quiz answers, and what counts as recovered in an interview.

    n * d * bytes_per_dim
    where(pass_share < 0.02, pre_ms, inline_ms)
    recall_at_10 >= 0.95 and p99_ms <= 50

Numbers, named values, + - * / // ** and unary minus, comparisons, `and` `or` `not`, and the functions of `FUNCTIONS`.
Python's own parser reads the text; a whitelist of node types decides what is an expression; nothing is ever executed by
Python. Text length, nesting and exponents are bounded and integers become floats, so no input can hang or grow.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from statistics import NormalDist

from problems.errors import InvalidInput

MAX_LENGTH = 400
MAX_DEPTH = 30
MAX_EXPONENT = 1024.0

FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {  # name: (function, least, most arguments)
    "min": (min, 2, 8),
    "max": (max, 2, 8),
    "ceil": (lambda x: float(math.ceil(x)), 1, 1),
    "floor": (lambda x: float(math.floor(x)), 1, 1),
    "log": (math.log, 1, 1),
    "log2": (math.log2, 1, 1),
    "log10": (math.log10, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "normal_quantile": (NormalDist().inv_cdf, 1, 1),  # 0.975 -> 1.96: sample sizes
    "where": (lambda condition, yes, no: yes if condition else no, 3, 3),
}
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate_expression(text: str, values: Mapping[str, float]) -> float:
    """The value of `text`, comparisons as 1.0 or 0.0. Raises InvalidInput with a sentence that quotes the text."""
    tree = parse_expression(text)
    try:
        result = _value(tree, values)
    except ZeroDivisionError:
        raise InvalidInput(f"{text!r} divides by zero with {_shown(tree, values)}.") from None
    except OverflowError:
        raise InvalidInput(f"{text!r} is too large to compute with {_shown(tree, values)}.") from None
    except ValueError as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{text!r} takes a logarithm, root or quantile outside its domain with {_shown(tree, values)}.") from None
    if not math.isfinite(result):
        raise InvalidInput(f"{text!r} is not finite with {_shown(tree, values)}.")
    return result


def names_in(text: str) -> frozenset[str]:
    """The named values an expression needs."""
    tree = parse_expression(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called)


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> ast.expr:
    """A checked tree; InvalidInput for anything outside the language."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"The expression has {len(text)} characters; at most {MAX_LENGTH} are read.")
    try:
        with warnings.catch_warnings():  # "1if" and the like warn before they are refused
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        detail = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidInput(f"{text!r} is not an expression: {detail}.") from None
    _check(tree, text, depth=0)
    return tree


def _check(node: ast.expr, text: str, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"{text!r} is nested more than {MAX_DEPTH} levels deep.")
    for child in _children(node, text):
        _check(child, text, depth=depth + 1)


def _children(node: ast.expr, text: str) -> list[ast.expr]:
    """The operands of an allowed node, or InvalidInput."""
    match node:
        case ast.Constant(value=bool() | str() | bytes() | complex() | None):
            pass
        case ast.Constant(value=int() | float()) | ast.Name():
            return []
        case ast.BinOp(op=op) if type(op) in _BINARY:
            return [node.left, node.right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
            return [node.operand]
        case ast.BoolOp():
            return node.values
        case ast.Compare(ops=ops) if all(type(op) in _COMPARE for op in ops):
            return [node.left, *node.comparators]
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            return _arguments(node, name, text)
    raise InvalidInput(
        f"{text!r} holds {ast.unparse(node)[:40]!r}; expected numbers, names, + - * / // **, comparisons, and or not, "
        f"and {', '.join(FUNCTIONS)}."
    )


def _arguments(node: ast.Call, name: str, text: str) -> list[ast.expr]:
    _, least, most = FUNCTIONS[name]
    if not least <= len(node.args) <= most:
        raise InvalidInput(f"{text!r}: {name} takes {least if least == most else f'{least} to {most}'} values, not {len(node.args)}.")
    return node.args


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return _named(name, values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return float(not _value(operand, values))
        case ast.UnaryOp(op=op, operand=operand):
            return -_value(operand, values) if isinstance(op, ast.USub) else _value(operand, values)
        case ast.BinOp(op=ast.Pow(), left=left, right=right):
            return _power(_value(left, values), _value(right, values))
        case ast.BinOp(op=op, left=left, right=right):
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.BoolOp(op=op, values=parts):
            return float((all if isinstance(op, ast.And) else any)(_value(part, values) for part in parts))
        case ast.Compare():
            return _compare(node, values)
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return _value(yes if _value(condition, values) else no, values)  # the other branch may be undefined
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name][0](*(_value(argument, values) for argument in arguments))
    raise AssertionError(f"unchecked node {node!r}")


def _named(name: str, values: Mapping[str, float]) -> float:
    if name not in values:
        raise InvalidInput(f"There is no value {name!r}; known are {', '.join(values) or 'none'}.", field=name)
    return float(values[name])


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > MAX_EXPONENT:
        raise InvalidInput(f"The exponent {exponent:g} is outside -{MAX_EXPONENT:g} to {MAX_EXPONENT:g}.")
    if base < 0 and exponent != int(exponent):
        raise InvalidInput(f"{base:g} ** {exponent:g} has no real value.")
    return float(base**exponent)


def _compare(node: ast.Compare, values: Mapping[str, float]) -> float:
    operands = [_value(operand, values) for operand in (node.left, *node.comparators)]
    pairs = zip(node.ops, operands, operands[1:], strict=False)
    return float(all(_COMPARE[type(op)](left, right) for op, left, right in pairs))


def _shown(tree: ast.expr, values: Mapping[str, float]) -> str:
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in values})
    return ", ".join(f"{name} = {values[name]:g}" for name in names) or "these numbers"

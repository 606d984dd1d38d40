"""Numbers with their units as a reader takes them: three significant digits, SI prefixes, thin spaces."""

from __future__ import annotations

import math
from typing import Any

from django import template

from simulators.units import behind

register = template.Library()

THIN = "\N{NARROW NO-BREAK SPACE}"  # between groups of digits
GAP = "\N{NO-BREAK SPACE}"  # before a unit
MINUS = "\N{MINUS SIGN}"
PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
# Unit as labs write it -> (symbol that takes a prefix, power of ten of the unit as written).
PREFIXED = {
    "s": ("s", 0),
    "ms": ("s", -3),
    "us": ("s", -6),
    "µs": ("s", -6),
    "ns": ("s", -9),
    "bytes": ("B", 0),
    "B": ("B", 0),
    "kB": ("B", 3),
    "MB": ("B", 6),
    "GB": ("B", 9),
    "TB": ("B", 12),
    "FLOP": ("FLOP", 0),
    "W": ("W", 0),
    "Hz": ("Hz", 0),
}
PREFIXED_RATES = {"bytes/": "B/", "B/": "B/", "FLOP/": "FLOP/"}
SYMBOLS = {"x": "×", "us": "µs", "share": ""}
COUNTS_FROM = 100_000  # from here on counts read "123 k"; below they are written out


@register.filter
def quantity(value: float | None, unit: str = "") -> str:
    """`value` with its unit: 0.0042, "s" -> 4.2 ms."""
    number, shown_unit = parts(value, unit)
    glue = "" if shown_unit.startswith(("/", "×")) else GAP
    return f"{number}{glue}{shown_unit}" if shown_unit else number


@register.filter
def signed(value: float, unit: str = "") -> str:
    """A difference: with its sign, even when it is positive."""
    number, rest = parts(abs(value), unit)
    text = quantity(abs(value), unit).replace(number, _without_zeros(number), 1)
    return f"{'+' if value > 0 else MINUS if value < 0 else '±'}{text}"


def _without_zeros(number: str) -> str:
    """Zeros at the end of a difference say nothing of its precision: 0.00200 -> 0.002."""
    return number.rstrip("0").rstrip(".") if "." in number and "e" not in number and GAP not in number else number


def parts(value: float | None, unit: str = "") -> tuple[str, str]:
    """The number and the unit apart, so that a tile can set them in two sizes."""
    if value is None:
        return "n/a", ""
    if unit.startswith("$"):
        return f"{MINUS if value < 0 else ''}${_money(abs(value))}", unit[1:]
    if unit in PREFIXED:
        symbol, power = PREFIXED[unit]
        return _prefixed(value, symbol, power)
    for head, symbol in PREFIXED_RATES.items():
        if unit.startswith(head):
            return _prefixed(value, symbol + unit.removeprefix(head), 0)
    number = "1.00" if unit == "share" and value == 1 else _count(value)
    return number, SYMBOLS.get(unit, behind(number, unit))


def _prefixed(value: float, symbol: str, power: int) -> tuple[str, str]:
    base = value * 10.0**power
    if not base or symbol == "s" and abs(base) >= 1:
        return _count(base), symbol if base else _as_written(symbol, power)
    exponent = _exponent(base, lowest=0 if symbol.startswith("B") else -9)
    return _digits(base / 10.0**exponent), PREFIXES[exponent] + symbol


def _as_written(symbol: str, power: int) -> str:
    return PREFIXES.get(power, "") + symbol


def _exponent(value: float, *, lowest: int) -> int:
    """Power of a thousand that leaves 1 to 999.5 before the prefix."""
    size = float(f"{abs(value):.3g}")
    return min(max(3 * math.floor(math.log10(size) / 3 + 1e-12), lowest), 15)


def _money(value: float) -> str:
    """Dollars with cents, where three digits would leave one decimal."""
    return f"{value:.2f}" if 10 <= value < 99.995 and value % 1 else _count(value)


def _count(value: float) -> str:
    if abs(value) < COUNTS_FROM:
        return _digits(value)
    exponent = _exponent(value, lowest=3)
    return f"{_digits(value / 10.0**exponent)}{GAP}{PREFIXES[exponent]}"


def _digits(value: float) -> str:
    """Three significant digits, thousands apart; whole numbers below 100 000 keep all their digits."""
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < COUNTS_FROM:
        return _with_minus(f"{int(value):,}".replace(",", THIN))
    size = math.floor(math.log10(abs(float(f"{value:.3g}"))))
    if size < -4:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return _with_minus(f"{float(mantissa):g}e{int(power)}")
    text = f"{float(f'{value:.3g}'):,.{max(0, 2 - size)}f}"
    return _with_minus(text.replace(",", THIN))


def _with_minus(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


@register.filter
def number_part(metric: dict[str, Any]) -> str:
    return parts(metric["value"], metric["unit"])[0]


@register.filter
def unit_part(metric: dict[str, Any]) -> str:
    return parts(metric["value"], metric["unit"])[1]

"""Randomness as a function of integers, so that one draw does not depend on how many others were made."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.jit import part


@part
def scramble(x: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014), in wrapping 64-bit arithmetic."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@part
def uniform(seed: int, stream: int, draw: int) -> float:
    """A number in [0, 1) from three integers."""
    x = scramble(scramble(seed * 0x632BE59BD9B4E019 + stream + 1) + draw)
    return ((x >> 11) & 0x1FFFFFFFFFFFFF) / 9007199254740992.0

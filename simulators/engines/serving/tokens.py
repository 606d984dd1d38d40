"""Tokens that one step of speculative decoding yields."""

from __future__ import annotations

from simulators.errors import InvalidInput


def expected_tokens(alpha: float, k: int) -> float:
    """Mean tokens of a step that verifies `k` drafted tokens, each accepted with chance `alpha` on its own: (1 - a^(k+1)) / (1 - a).

    The step yields the accepted run and one token more, from the target itself (Leviathan et al., Fast Inference from Transformers via
    Speculative Decoding, ICML 2023). k = 0 is plain decoding: 1. Raises InvalidInput for alpha outside 0 to 1 or k < 0.
    """
    if not 0 <= alpha <= 1:
        raise InvalidInput(f"alpha is {alpha:g}; expected an acceptance rate from 0 to 1.", field="alpha")
    if k < 0 or k != int(k):
        raise InvalidInput(f"k is {k}; expected a whole number of drafted tokens, 0 or more.", field="k")
    return float(sum(alpha**i for i in range(int(k) + 1)))

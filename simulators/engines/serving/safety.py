"""Where a safety check stands in the stream of tokens, and what that costs: time to the first visible token, unsafe tokens shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.errors import InvalidInput

PATHS = ("serial", "parallel", "streaming", "optimistic")


@dataclass(frozen=True)
class Safety:
    """Seconds. The input check and one output check take these; a detector that has read t tokens finds what is unsafe with chance
    `recall` x (1 - exp(-t / recall_tokens))."""

    input_s: float = 0.12
    output_s: float = 0.08
    itl_s: float = 0.015
    recall: float = 0.95
    recall_tokens: float = 40.0

    def __post_init__(self) -> None:
        if min(self.input_s, self.output_s) < 0 or self.itl_s <= 0 or self.recall_tokens <= 0 or not 0 <= self.recall <= 1:
            raise InvalidInput("safety expects times of 0 or more, itl_s and recall_tokens above 0 and a recall from 0 to 1.")


def first_visible_s(path: str, safety: Safety, prefill_s: float, answer_tokens: int, window_tokens: int) -> float:
    """Seconds from admission to the first token a user sees.

    serial: input check, then prefill, then the whole answer, then the output check. parallel: the input check beside prefill, the whole
    answer still held back. streaming: beside prefill, and a window of `window_tokens` held back until it is checked. optimistic: shown
    at once, checked after.
    """
    _check(path, answer_tokens, window_tokens)
    answer_s, window_s = answer_tokens * safety.itl_s, min(window_tokens, answer_tokens) * safety.itl_s
    beside_s = max(safety.input_s, prefill_s)
    return {
        "serial": safety.input_s + prefill_s + answer_s + safety.output_s,
        "parallel": beside_s + answer_s + safety.output_s,
        "streaming": beside_s + window_s + safety.output_s,
        "optimistic": prefill_s,
    }[path]


def exposure_tokens(path: str, safety: Safety, answer_tokens: int, window_tokens: int) -> float:
    """Tokens of an unsafe answer that are shown before the first check that could stop it ends; 0 for all but `optimistic`."""
    _check(path, answer_tokens, window_tokens)
    return min(window_tokens + safety.output_s / safety.itl_s, answer_tokens) if path == "optimistic" else 0.0


def expected_exposure_tokens(path: str, safety: Safety, answer_tokens: int, window_tokens: int) -> float:
    """Mean unsafe tokens shown per unsafe answer, over the detector's chance at every window; what is never detected is shown whole."""
    _check(path, answer_tokens, window_tokens)
    read = np.minimum(np.arange(1, -(-answer_tokens // window_tokens) + 1) * window_tokens, answer_tokens)
    read = read[-1:] if path in {"serial", "parallel"} else read
    found = safety.recall * (1 - np.exp(-read / safety.recall_tokens))  # by then
    shown_then = np.minimum(read + safety.output_s / safety.itl_s, answer_tokens) if path == "optimistic" else np.append(0, read[:-1])
    return float((np.diff(found, prepend=0) * shown_then).sum() + (1 - found[-1]) * answer_tokens)


def checked_tokens(answer_tokens: int, window_tokens: int, *, cumulative: bool) -> int:
    """Tokens the detector reads in one answer: each once, or at every window all so far, which grows with the square of the length."""
    _check("streaming", answer_tokens, window_tokens)
    if not cumulative:
        return answer_tokens
    read = np.minimum(np.arange(1, -(-answer_tokens // window_tokens) + 1) * window_tokens, answer_tokens)
    return int(read.sum())


def _check(path: str, answer_tokens: int, window_tokens: int) -> None:
    if path not in PATHS:
        raise InvalidInput(f"safety path is {path!r}; expected one of {', '.join(PATHS)}.", field="safety")
    if answer_tokens < 1 or window_tokens < 1:
        raise InvalidInput(f"answer of {answer_tokens} and window of {window_tokens} tokens; expected at least 1 each.", field="window")

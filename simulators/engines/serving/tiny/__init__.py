"""A real engine, small enough to read: a transformer served with continuous batching, paged keys and values, a prefix cache, speculation.

Read in this order: `model` (the transformer), `paged` (blocks and attention through block tables), `scheduler` (who joins an iteration),
`engine` (the iteration), `speculate` (drafts and the rule that keeps the distribution), `calibrate` (what an iteration costs here).
Names are looked up on first use: torch loads with the first model, not with the first import, and a process that only shows pages never
loads it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulators.engines.serving.tiny.engine import PagedEngine
    from simulators.engines.serving.tiny.language import to_text, to_tokens
    from simulators.engines.serving.tiny.model import TinyLM
    from simulators.engines.serving.tiny.result import Parity, Request, ServeResult, compare_tokens

_HOME = {
    "PagedEngine": "engine",
    "TinyLM": "model",
    "Parity": "result",
    "Request": "result",
    "ServeResult": "result",
    "compare_tokens": "result",
    "to_text": "language",
    "to_tokens": "language",
}

__all__ = ["Parity", "PagedEngine", "Request", "ServeResult", "TinyLM", "compare_tokens", "to_text", "to_tokens"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

"""Hidden facts of one attempt: values drawn by its seed, how they are said, and the inputs they lock."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from problems.interview_schema import HiddenFact, Interviewer

ABBREVIATIONS = {"fn": "FN", "fp": "FP", "gpus": "GPUs", "ids": "IDs", "itl": "ITL", "ram": "RAM", "ttft": "TTFT"}
_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def stream(seed: int, purpose: str) -> random.Random:
    """Random numbers of their own for each purpose, so that a fact more does not move the curveballs."""
    return random.Random(f"{seed}:{purpose}")  # noqa: S311  nothing secret: the same seed is the same interview


def draw(interviewer: Interviewer, seed: int) -> dict[str, Any]:
    """{"values": {fact id: drawn value}, "deep_dive": key}: what an attempt freezes at its start."""
    values = {fact.id: stream(seed, f"fact:{fact.id}").choice(fact.choices) for fact in interviewer.facts if fact.choices}
    return {"values": values, "deep_dive": stream(seed, "deep_dive").choice(interviewer.deep_dives).key}


def answer_text(fact: HiddenFact, value: float | None) -> str:
    """The answer with the drawn value in it, as a person says it: "2 billion users", "1 hour"."""
    if value is None:
        return fact.answer
    said = value_text(value, fact.unit)
    text = fact.answer.replace("{value}", said)
    return _singular(text, said, fact.unit) if value == 1 else text


def value_text(value: float, unit: str = "") -> str:
    """1e9 is 1 billion, 50000 is 50,000; a small share with the unit "of ..." is said in percent."""
    if unit.startswith("of ") and 0 < value < 0.1:
        return f"{value * 100:g} %"
    for size, name in _LARGE:
        if value >= size:
            return f"{value / size:g} {name}"
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _singular(text: str, said: str, unit: str) -> str:
    """`1 hours` becomes `1 hour`; signs of units such as s and ms have no plural."""
    noun = unit.split(" ")[0]
    if len(noun) < 4 or not noun.endswith("s"):
        return text
    return re.sub(rf"\b{re.escape(said)} {re.escape(noun)}\b", f"{said} {noun[:-1]}", text)


def spoken_name(fact: HiddenFact) -> str:
    """The fact's id as words: a name for a row of the constraints."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in fact.id.split("_"))


def fed_inputs(facts: Sequence[HiddenFact], values: Mapping[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """{"labs": {lab: {param: value}}, "calculators": {calculator: {input: value}}} that these facts fix."""
    fed: dict[str, dict[str, dict[str, float]]] = {"labs": {}, "calculators": {}}
    for fact in facts:
        for kind, target in (("labs", fact.feeds.lab), ("calculators", fact.feeds.calculator)):
            if target and fact.id in values:
                owner, name = target.split(".")
                fed[kind].setdefault(owner, {})[name] = values[fact.id]
    return fed

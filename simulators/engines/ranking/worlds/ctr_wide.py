"""Impressions with twenty fields of ten to many ids: more ids than the rows can teach, as in a real log."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.data.ctr import CtrData
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.draws import draw
from simulators.engines.steps import blocks

FIELDS, NUMBERS, PAIRS, RANK = 20, 13, 12, 4
FEWEST, EFFECT_SD, TASTE_SD, NUMBER_SD = 10, 0.25, 0.32, 0.1
_BLOCK = 8192


def iter_wide(seed: int, rows: int, base_logit: float, test_rows: int, largest: int) -> Generator[Step, None, tuple[CtrData, CtrData]]:
    """Training and test log; fields have 10 to `largest` ids whose shares fall with their rank."""
    cards = np.geomspace(FEWEST, largest, FIELDS).round().astype(np.int64)
    total, who = rows + test_rows, draw(seed, "wide/who")
    fields, dense = np.empty((total, FIELDS), np.int64), np.empty((total, NUMBERS), np.float32)
    logit = np.zeros(total)
    for field, card in enumerate(cards):
        fields[:, field] = _skewed(draw(seed, f"wide/field/{field}").random(total), card)
        logit += who.normal(0, EFFECT_SD, card)[fields[:, field]]
        yield Step(field + 1, FIELDS + PAIRS, "drawing fields")
    for pair in range(PAIRS):
        logit += _meeting(fields, cards, draw(seed, f"wide/pair/{pair}"))
        yield Step(FIELDS + pair + 1, FIELDS + PAIRS, "drawing pairs")
    numbers, weights = draw(seed, "wide/dense"), who.normal(0, NUMBER_SD, NUMBERS)
    for part in blocks(total, _BLOCK):
        dense[part] = numbers.standard_normal((part.stop - part.start, NUMBERS), np.float32)
        logit[part] += dense[part] @ weights
        yield Step(part.stop, total, "drawing numbers")
    p = expit(base_logit + logit)
    y = (draw(seed, "wide/clicks").random(total) < p).astype(np.float64)
    names = (*(f"C{i}" for i in range(1, FIELDS + 1)), *(f"I{i}" for i in range(1, NUMBERS + 1)))
    time = np.arange(total) / total

    def data(part: slice) -> CtrData:
        return CtrData(fields[part], tuple(cards.tolist()), dense[part], None, y[part], p[part], time[part], names)

    return data(slice(0, rows)), data(slice(rows, total))


def _skewed(uniform: Floats, card: int) -> Ints:
    """Ids whose share falls with 1 over their rank: card to a uniform power."""
    return np.minimum(np.asarray(card**uniform - 1, np.int64), card - 1)


def _meeting(fields: Ints, cards: Ints, stream: np.random.Generator) -> Floats:
    """How two fields, drawn at random, suit each other: inner products of hidden vectors."""
    one, other = stream.choice(FIELDS, 2, replace=False)
    left, right = (stream.normal(0, TASTE_SD, (cards[field], RANK)).astype(np.float32)[fields[:, field]] for field in (one, other))
    return np.asarray(np.einsum("nr,nr->n", left, right), np.float64)

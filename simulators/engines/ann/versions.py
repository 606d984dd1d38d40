"""Two embedding models over the same documents: worlds with known truth, search in a half-migrated corpus, alignment from pairs.

A new model writes its vectors into a space of its own. An index that holds vectors of both compares things that do not compare; these
functions say by how much, and what reading both versions apart, calibrating their scores or aligning the spaces recovers.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.index import SearchResult
from simulators.engines.ann.truth import Neighbors, exact_steps
from simulators.engines.steps import Steps, finish, timed
from simulators.errors import InvalidInput

Mode = Literal["naive", "dual_read", "dual_read_calibrated"]
MODES: tuple[str, ...] = get_args(Mode)
SAMPLE = 1_000  # documents whose scores calibrate a version


def rotate_model(x: FloatArray, degrees: float, *, seed: int) -> FloatArray:
    """The vectors [n, d] as a second model would give them: rotated by `degrees` in every plane of a random orthonormal basis.

    Each vector keeps its length and turns by exactly `degrees` (in an odd dimension, one direction stays). Inner products between
    rotated vectors are those between the originals, so the neighbours stay known.
    """
    d = x.shape[1]
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    turned = (x @ basis).astype(np.float64)
    first, second = turned[:, 0 : d - 1 : 2].copy(), turned[:, 1:d:2].copy()
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned[:, 0 : d - 1 : 2], turned[:, 1:d:2] = cos * first - sin * second, sin * first + cos * second
    return np.ascontiguousarray(turned @ basis.T, dtype=np.float32)


def raise_cosines(x: FloatArray, mean_cosine: float, *, direction: FloatArray) -> FloatArray:
    """Unit vectors [n, d] with a common component added along `direction` [d], of unit length.

    Any two then have the cosine (1 - c) s + c, with s their cosine across `direction` and c = mean_cosine: an anisotropic model, whose
    scores are all high (Ethayarajh 2019, arXiv 1909.00512). The order of neighbours stays as far as `direction` held no variance.
    """
    across = unit_length(x - np.outer(x @ direction, direction))
    raised: FloatArray = (np.sqrt(1 - mean_cosine) * across + np.sqrt(mean_cosine) * direction).astype(np.float32)
    return raised


def quietest_direction(x: FloatArray) -> FloatArray:
    """Unit vector [d] along which the vectors [n, d] have the least energy."""
    _, vectors = np.linalg.eigh((x.T @ x).astype(np.float64))
    return np.asarray(vectors[:, 0], dtype=np.float32)


def procrustes(source: FloatArray, target: FloatArray) -> FloatArray:
    """The orthogonal matrix R [d, d] that brings source @ R nearest to target, both [pairs, d] (Schönemann 1966).

    Fewer pairs than dimensions leave directions that no pair has seen, and those are mapped arbitrarily.
    """
    _same_dimension(source, target, "alignment")
    left, _, right = np.linalg.svd((source.T @ target).astype(np.float64))
    return np.asarray(left @ right, dtype=np.float32)


class Scale(NamedTuple):
    """Scores between queries and documents of one version."""

    mean: float
    sd: float


def score_scale(base: FloatArray, queries: FloatArray) -> Scale:
    """Mean and standard deviation of inner products with a fixed sample of the documents."""
    scores = queries @ base[:: max(1, len(base) // SAMPLE)].T
    return Scale(float(scores.mean()), float(scores.std()))


def mixed_search(
    old: FloatArray, new: FloatArray, migrated_mask: npt.NDArray[np.bool_], q_old: FloatArray, q_new: FloatArray, k: int, *, mode: str
) -> SearchResult:
    """The k best documents by inner product while some are migrated, exactly, with no index to blame.

    old, new       [n, d_old], [n, d_new]: the same documents by both models; of each only the version `migrated_mask` [n] says is served
    q_old, q_new   [q, d_old], [q, d_new]: the same queries by both models
    mode           naive: one index, asked with q_new. dual_read: each version asked with its own query, merged by score.
                   dual_read_calibrated: merged by z-score, each version's mean and deviation taken over a sample of documents
    Raises InvalidInput when naive search mixes dimensions.
    """
    return finish(mixed_steps(old, new, migrated_mask, q_old, q_new, k, mode=mode))


def mixed_steps(
    old: FloatArray, new: FloatArray, migrated_mask: npt.NDArray[np.bool_], q_old: FloatArray, q_new: FloatArray, k: int, *, mode: str
) -> Steps[SearchResult]:
    """`mixed_search` in steps."""
    if mode not in MODES:
        raise InvalidInput(f"mode {mode!r} was given; expected one of {', '.join(MODES)}", field="mode")
    if not len(old) == len(new) == len(migrated_mask):
        raise InvalidInput(
            f"old has {len(old):,} rows, new {len(new):,}, the mask {len(migrated_mask):,}; expected equal numbers", field="old"
        )
    if mode == "naive":
        _same_dimension(old, new, "an index")
    parts, seconds = yield from timed(_both_parts(old, new, migrated_mask, q_new if mode == "naive" else q_old, q_new, k, mode))
    ids, scores = _merged(parts, k)
    return SearchResult(ids, scores, np.full(len(q_new), seconds / len(q_new)))


def _both_parts(
    old: FloatArray, new: FloatArray, migrated: npt.NDArray[np.bool_], q_old: FloatArray, q_new: FloatArray, k: int, mode: str
) -> Steps[list[Neighbors]]:
    parts = []
    for base, served, queries in ((old, ~migrated, q_old), (new, migrated, q_new)):
        scale = score_scale(base, queries) if mode == "dual_read_calibrated" else Scale(0, 1)
        found = yield from exact_steps(base, queries, k, mask=served)
        scores = np.where(found.ids >= 0, (found.scores - scale.mean) / scale.sd, -np.inf)
        parts.append(Neighbors(found.ids, scores.astype(np.float32)))
    return parts


def _merged(parts: list[Neighbors], k: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    ids, scores = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, best, axis=1), np.take_along_axis(scores, best, axis=1)


def _same_dimension(old: FloatArray, new: FloatArray, what: str) -> None:
    if old.shape[1] != new.shape[1]:
        raise InvalidInput(
            f"the old model has {old.shape[1]:,} dimensions, the new one {new.shape[1]:,}: they cannot share {what}; "
            "expected equal dimensions, or a plan that reads both versions apart (dual read)",
            field="plan",
        )

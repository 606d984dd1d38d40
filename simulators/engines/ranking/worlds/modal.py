"""Items seen through several encoders, some of which are missing, where the best possible prediction is known for every pattern.

Latents of text, visual and audio are normal and correlated coordinate by coordinate; an encoder's vector is its latent with noise. The
log-odds are a sum over the latents along one direction each. Given the vectors that are there, the log-odds are normal again, so that
E[p | vectors] is one Gaussian integral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.worlds.draws import draw

MODALITIES = ("text", "visual", "audio")
WIDTH = 12  # of a latent and of a vector
CORRELATION = 0.36  # between the same coordinate of two latents
INTERCEPT = -1.8
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ModalWorld:
    """Rows N to train on, M to test on. The vectors of absent modalities are zero."""

    X: Mapping[str, Floats]  # (N, 12) each
    present: Flags  # (N, 3), columns as MODALITIES
    y: Floats  # (N,)
    p: Floats  # (N,), true probability given the latents
    X_test: Mapping[str, Floats]  # (M, 12) each, whole: a scenario says what is present
    present_test: Flags  # (M, 3), as served
    y_test: Floats
    p_test: Floats
    directions: Floats  # (3, 12), unit vectors times weights
    noise: Floats  # (3,)
    scale: Floats  # (3,)

    def bayes(self, X: Mapping[str, ArrayLike], present: ArrayLike) -> Floats:
        """(n,) E[p | vectors present], were they missing at random."""
        present, found = np.asarray(present, dtype=np.bool_), np.empty(len(np.asarray(present)))
        stacked = np.stack([np.asarray(X[name], dtype=np.float64) for name in MODALITIES], axis=1) / self.scale[:, None]
        for pattern in np.unique(present, axis=0):
            rows = (present == pattern).all(axis=1)
            mean, deviation = self._log_odds(stacked[rows][:, pattern], pattern)
            found[rows] = expit(mean[:, None] + deviation * NODES) @ NODE_WEIGHTS / NODE_WEIGHTS.sum()
        return found

    def served(self, *modalities: str) -> Flags:
        """(M, 3): exactly these modalities on every test row."""
        return np.tile(np.isin(MODALITIES, modalities), (len(self.p_test), 1))

    def _log_odds(self, seen: Floats, pattern: Flags) -> tuple[Floats, float]:
        """Mean (n,) and deviation of the log-odds given vectors `seen` (n, modalities present, 12)."""
        prior = _prior()
        gain = prior[:, pattern] @ np.linalg.inv((prior + np.diag(self.noise**2))[np.ix_(pattern, pattern)])  # (3, present)
        left = prior - gain @ prior[pattern]
        mean = INTERCEPT + np.einsum("mk,nkj,mj->n", gain, seen, self.directions)
        return mean, float(np.sqrt(np.einsum("mj,mk,kj->", self.directions, left, self.directions)))


def modal_world(
    seed: int = 0,
    *,
    miss_train_text: float = 0.0,
    miss_train_visual: float = 0.0,
    miss_train_audio: float = 0.0,
    miss_serve_text: float = 0.02,
    miss_serve_visual: float = 0.25,
    miss_serve_audio: float = 0.4,
    mnar: float = 0.0,
    scale_visual: float = 1.0,
    noise_text: float = 0.2,
    noise_visual: float = 0.6,
    noise_audio: float = 0.6,
    weight_text: float = 1.0,
    weight_visual: float = 1.8,
    weight_audio: float = 0.8,
    rows: int = 60_000,
    test_rows: int = 20_000,
) -> ModalWorld:
    """The world; ValueError names what is out of range.

    miss_*        share of rows without the modality, in training and as served; a row that would lose all three keeps its text
    mnar          missing for a reason: what is missing depends on this many s.d. of the row's log-odds against one of chance, so that
                  poor items lack vectors; the shares stay
    scale_visual  factor on the visual vectors, as of an encoder with another norm
    noise_*       s.d. of an encoder's error, in units of the latent
    weight_*      log-odds a s.d. of the modality's latent along its direction
    """
    miss_train = np.array([miss_train_text, miss_train_visual, miss_train_audio])
    miss_serve = np.array([miss_serve_text, miss_serve_visual, miss_serve_audio])
    noise = np.array([noise_text, noise_visual, noise_audio])
    weight = np.array([weight_text, weight_visual, weight_audio])
    _check(miss_train, miss_serve, mnar, scale_visual, noise, rows, test_rows)
    drawn = draw(seed, "modal/directions").standard_normal((len(MODALITIES), WIDTH))
    directions = weight[:, None] * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    scale = np.array([1.0, scale_visual, 1.0])
    X, present, y, p = _rows(seed, "train", rows, directions, noise, scale, miss_train, mnar)
    X_test, present_test, y_test, p_test = _rows(seed, "test", test_rows, directions, noise, scale, miss_serve, mnar)
    kept = {name: np.where(present[:, [m]], X[name], 0.0) for m, name in enumerate(MODALITIES)}
    return ModalWorld(kept, present, y, p, X_test, present_test, y_test, p_test, directions, noise, scale)


def _rows(
    seed: int, part: str, n: int, directions: Floats, noise: Floats, scale: Floats, miss: Floats, mnar: float
) -> tuple[dict[str, Floats], Flags, Floats, Floats]:
    shape = (n, len(MODALITIES), WIDTH)
    latent = np.linalg.cholesky(_prior()) @ draw(seed, f"modal/{part}/latents").standard_normal(shape)
    seen = scale[:, None] * (latent + noise[:, None] * draw(seed, f"modal/{part}/noise").standard_normal(shape))
    logit = INTERCEPT + np.einsum("nmj,mj->n", latent, directions)
    p: Floats = expit(logit)
    y = (draw(seed, f"modal/{part}/labels").random(n) < p).astype(np.float64)
    chance = draw(seed, f"modal/{part}/missing").standard_normal((n, len(MODALITIES)))
    poor = -(logit - INTERCEPT) / max(float(_spread(directions)), 1e-12)
    missing = (chance + mnar * poor[:, None]) / np.sqrt(1 + mnar**2) > ndtri(1 - miss)
    missing[missing.all(axis=1), 0] = False
    return {name: seen[:, m] for m, name in enumerate(MODALITIES)}, ~missing, y, p


def _prior() -> Floats:
    """(3, 3) covariance of the latents at one coordinate."""
    count = len(MODALITIES)
    return CORRELATION + (1 - CORRELATION) * np.eye(count)


def _spread(directions: Floats) -> float:
    """S.d. of the log-odds."""
    return float(np.sqrt(np.einsum("mj,mk,kj->", directions, _prior(), directions)))


def _check(miss_train: Floats, miss_serve: Floats, mnar: float, scale_visual: float, noise: Floats, rows: int, test_rows: int) -> None:
    for part, shares in (("train", miss_train), ("serve", miss_serve)):
        for name, share in zip(MODALITIES, shares, strict=True):
            if not 0 <= share <= 1:
                raise ValueError(f"miss_{part}_{name} is {share:g}; expected a share in [0, 1].")
    for name, deviation in zip(MODALITIES, noise, strict=True):
        if not 0 <= deviation < np.inf:
            raise ValueError(f"noise_{name} is {deviation:g}; expected 0 or more.")
    if not 0 <= mnar < np.inf:
        raise ValueError(f"mnar is {mnar:g}; expected 0 or more.")
    if not 0 < scale_visual < np.inf:
        raise ValueError(f"scale_visual is {scale_visual:g}; expected a factor above 0.")
    if rows < 1 or test_rows < 1:
        raise ValueError(f"rows is {rows} and test_rows {test_rows}; expected at least 1 of each.")

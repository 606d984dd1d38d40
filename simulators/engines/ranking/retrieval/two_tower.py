"""Two towers: a vector a user, a vector and a bias an item; what a user wants is found by inner product (Covington 2016; Yi 2019)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.ranking.arguments import Ints, finite, ids, one_of, same_length
from simulators.engines.ranking.retrieval.settings import Log, Settings
from simulators.engines.ranking.step import Step
from simulators.engines.steps import blocks, finish, finished

Floats32 = NDArray[np.float32]
Negatives = Literal["in_batch", "uniform", "mixed", "hard"]
UserTower = Literal["id", "history", "none"]
NEGATIVES: tuple[str, ...] = ("in_batch", "uniform", "mixed", "hard")
USER_TOWERS: tuple[str, ...] = ("id", "history", "none")
_SCORES_AT_ONCE = 2**21


@dataclass(frozen=True)
class Encoder:
    """What the history tower makes a user's vector from: the items watched, their content, the user's own features."""

    watched: Floats32  # (I, d) one vector an item
    content: Floats32 | None  # (F, d)
    features: Floats32 | None  # (G, d)
    offset: Floats32  # (d,) everybody's
    item_features: Floats32 | None  # (I, F)
    scale: float  # 0: as they are; else the length every user vector gets

    def __call__(self, history: Ints, user_features: Floats32 | None) -> Floats32:
        known = history >= 0
        weight = (known / np.maximum(np.sqrt(known.sum(axis=1, keepdims=True)), 1.0)).astype(np.float32)
        rows = np.maximum(history, 0)
        vectors = self.offset + np.einsum("ul,uld->ud", weight, self.watched[rows])
        if self.content is not None and self.item_features is not None:
            vectors += np.einsum("ul,ulf->uf", weight, self.item_features[rows]) @ self.content
        if self.features is not None:
            vectors += np.asarray(user_features, np.float32) @ self.features
        return scaled(vectors, self.scale)


def scaled(vectors: Floats32, length: float) -> Floats32:
    """Every row at `length`, rows of length 0 left; length 0 leaves all as they are."""
    if not length:
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    made: Floats32 = vectors * np.where(norms > 0, length / np.where(norms > 0, norms, 1), 1).astype(np.float32)
    return made


@dataclass(frozen=True)
class TwoTower:
    """What user u makes of item i: user_vectors()[u] . item_vectors()[i] + item_bias[i].

    With a temperature items are unit vectors and users have length 1 / temperature.
    """

    users: Floats32  # (U, d), or (1, d) where everybody has the same
    items: Floats32  # (I, d)
    item_bias: Floats32  # (I,)
    n_users: int
    encoder: Encoder | None  # of the history tower
    scored_pairs: int  # user-item products computed in training
    rows_seen: int
    cpu_seconds: float

    def user_vectors(self) -> Floats32:
        """(U, d)."""
        return self.users if len(self.users) == self.n_users else np.repeat(self.users, self.n_users, axis=0)

    def item_vectors(self) -> Floats32:
        """(I, d)."""
        return self.items

    def encode(self, history: ArrayLike, user_features: ArrayLike | None = None) -> Floats32:
        """(u, d) vectors of other users by what they watched: ids (u, L), -1 for none. ValueError but for a history tower."""
        if self.encoder is None:
            raise ValueError("user_tower is not history: this model knows only the users it was trained on.")
        watched = history_ids(history, len(self.items))
        if (self.encoder.features is None) != (user_features is None):
            raise ValueError("user_features are needed exactly where the model was trained with them.")
        features = None if user_features is None else finite("user_features", user_features, ndim=2).astype(np.float32)
        return self.encoder(watched, features)

    def topk(self, users: ArrayLike, k: int, exclude: ArrayLike | Sequence[Any] | None = None) -> Ints:
        """The k best items of users (n,), best first: ids (n, k).

        exclude   what not to return: bool (n, I) or (I,), ids (n, e) with -1 for none, or a list of n lists of ids
        Slots are -1 where fewer than k items are left. Equal scores go by id.
        """
        who = ids("users", users, below=self.n_users, ndim=1)
        vectors = self.users[who if len(self.users) == self.n_users else np.zeros_like(who)]
        return self.topk_of(vectors, k, exclude)

    def topk_of(self, vectors: Floats32, k: int, exclude: ArrayLike | Sequence[Any] | None = None) -> Ints:
        """`topk` of user vectors (n, d)."""
        return finish(self.iter_topk_of(vectors, k, exclude))

    def iter_topk_of(self, vectors: Floats32, k: int, exclude: ArrayLike | Sequence[Any] | None = None) -> Generator[Step, None, Ints]:
        if k < 1:
            raise ValueError(f"k is {k}; expected 1 or more.")
        n_items = len(self.items)
        hidden = None if exclude is None else _hidden(exclude, len(vectors), n_items)
        found = np.full((len(vectors), k), -1, np.int64)
        for part in blocks(len(vectors), max(1, _SCORES_AT_ONCE // (4 * n_items))):
            scores = vectors[part] @ self.items.T + self.item_bias
            if hidden is not None:
                hidden(scores, part)
            best = top_ids(scores, min(k, n_items))
            found[part, : best.shape[1]] = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, best)
            yield Step(part.stop, len(vectors), "ranking items")
        return found


def top_ids(scores: NDArray[np.floating[Any]], k: int) -> Ints:
    """Columns of the k largest of each row, largest first; equal ones by column."""
    n = scores.shape[1]
    best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1) if k < n else np.broadcast_to(np.arange(n), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(best, order, axis=1), dtype=np.int64)


def _hidden(exclude: ArrayLike | Sequence[Any], n: int, n_items: int) -> Any:
    """A function that puts -inf where a user may not be given an item, in the scores of a block of users."""
    flags = np.asarray(exclude) if isinstance(exclude, np.ndarray) else None
    if flags is not None and flags.dtype == bool:
        if flags.shape not in ((n, n_items), (n_items,)):
            raise ValueError(f"exclude has shape {flags.shape}; expected {(n, n_items)} or {(n_items,)}.")
        table = np.broadcast_to(flags, (n, n_items))
        return lambda scores, part: scores.__setitem__(table[part], -np.inf)
    lists = [np.asarray(one, dtype=np.int64).ravel() for one in exclude]  # type: ignore[union-attr]
    if len(lists) != n:
        raise ValueError(f"exclude has {len(lists)} rows; expected {n}, one a user.")
    row = np.repeat(np.arange(n), [len(one) for one in lists])
    column = np.concatenate(lists) if lists else np.zeros(0, np.int64)
    if column.size and (column.min() < -1 or column.max() >= n_items):
        raise ValueError(f"exclude reaches from {column.min()} to {column.max()}; expected -1 to {n_items - 1}.")
    row, column = row[column >= 0], column[column >= 0]

    def hide(scores: Floats32, part: slice) -> None:
        first, last = np.searchsorted(row, (part.start, part.stop))
        scores[row[first:last] - part.start, column[first:last]] = -np.inf

    return hide


# --- training ---------------------------------------------------------------------------------------------------------


def iter_two_tower(
    users: ArrayLike,
    items: ArrayLike,
    n_users: int,
    n_items: int,
    *,
    item_features: ArrayLike | None = None,
    history: ArrayLike | None = None,
    negatives: Negatives = "in_batch",
    n_uniform: int = 256,
    n_hard: int = 16,
    logq: float = 1.0,
    dim: int = 16,
    batch: int = 512,
    epochs: int = 2,
    temperature: float | None = None,
    user_tower: UserTower = "id",
    seed: int = 0,
    user_features: ArrayLike | None = None,
    history_dropout: bool = False,
) -> Generator[Step, None, TwoTower]:
    """Trains on the log `users` (n,), `items` (n,): user n chose item n.

    item_features   (I, F) numbers, projected into the items' vectors beside a vector an item
    history         ids (U, L) watched before the log, or (n, L) before each of its rows; -1 for none. For the history tower
    negatives       what a choice is compared with: the other choices of the batch (in_batch), items drawn evenly (uniform), both
                    (mixed, Yang 2020), or the batch and items from the user's own top 100 under the model so far (hard)
    n_uniform       evenly drawn items a step, shared by the batch; n_hard hard ones a row
    logq            times log q(item) is taken from each logit, q being how often an item is among the candidates (Yi 2019): 1 corrects,
                    0 leaves popular items punished for being in every batch, -1 is the sign bug
    temperature     None: inner products of free vectors; else cosine / temperature
    user_tower      id: a vector a user; history: mean of vectors of the watched items; none: one vector for everybody
    user_features   (U, G) numbers for the history tower
    history_dropout the history tower sees a random number of the last items of each history

    Raises ValueError that names the argument.

    In steps; fifty of them carry the mean `loss` in nats since the last such, and the `pairs` scored so far. `fit_two_tower` is the same in
    one go.
    """
    settings = Settings(negatives, n_uniform, n_hard, float(logq), dim, batch, epochs, temperature, user_tower, seed, history_dropout)
    _check(settings)
    who, what = ids("users", users, below=n_users, ndim=1), ids("items", items, below=n_items, ndim=1)
    rows = same_length(users=who, items=what)
    if not rows:
        raise ValueError("users has 0 rows; expected at least one choice to learn from.")
    log = Log(
        who,
        what,
        n_users,
        n_items,
        _features("item_features", item_features, n_items),
        _history(history, user_tower, rows, n_users, n_items),
        _user_features(user_features, user_tower, n_users),
    )
    from simulators.engines.ranking.retrieval.training import iter_train  # with torch, which a process that only shows pages never needs

    return (yield from iter_train(log, settings))


fit_two_tower = finished("fit_two_tower", iter_two_tower)


def _check(s: Settings) -> None:
    one_of("negatives", s.negatives, NEGATIVES)
    one_of("user_tower", s.user_tower, USER_TOWERS)
    for name, low in (("dim", 1), ("batch", 1), ("epochs", 1), ("n_uniform", 0), ("n_hard", 0)):
        if getattr(s, name) < low:
            raise ValueError(f"{name} is {getattr(s, name)}; expected {low} or more.")
    if s.negatives == "uniform" and not s.n_uniform:
        raise ValueError("n_uniform is 0 and negatives is uniform: there would be nothing to compare with; expected 1 or more.")
    if not np.isfinite(s.logq):
        raise ValueError(f"logq is {s.logq}; expected a number, 1 to correct.")
    if s.temperature is not None and not (np.isfinite(s.temperature) and s.temperature > 0):
        raise ValueError(f"temperature is {s.temperature}; expected above 0, or None.")


def _features(name: str, values: ArrayLike | None, rows: int) -> Floats32 | None:
    if values is None:
        return None
    table = finite(name, values, ndim=2).astype(np.float32)
    if len(table) != rows or not table.shape[1]:
        raise ValueError(f"{name} has shape {table.shape}; expected {rows} rows and at least one column.")
    return table


def _user_features(values: ArrayLike | None, user_tower: str, n_users: int) -> Floats32 | None:
    if values is not None and user_tower != "history":
        raise ValueError(f"user_features were given and user_tower is {user_tower}; only the history tower reads them.")
    return _features("user_features", values, n_users)


def _history(values: ArrayLike | None, user_tower: str, rows: int, n_users: int, n_items: int) -> Ints | None:
    if user_tower != "history":
        return None
    if values is None:
        raise ValueError("history is missing and user_tower is history; expected ids (U, L), -1 for none.")
    watched = history_ids(values, n_items)
    if len(watched) not in (rows, n_users):
        raise ValueError(f"history has {len(watched)} rows; expected {n_users}, one a user, or {rows}, one a row of the log.")
    return watched


def history_ids(values: ArrayLike, n_items: int) -> Ints:
    """(u, L) ids with -1 for none."""
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"history has shape {array.shape} and type {array.dtype}; expected ids (U, L), -1 for none.")
    if array.size and (array.min() < -1 or array.max() >= n_items):
        raise ValueError(f"history reaches from {array.min()} to {array.max()}; expected -1 to {n_items - 1}.")
    return array.astype(np.int64)

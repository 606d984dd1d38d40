"""The user's own ratings: the check before anything is stored, and what is held out of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.data.ratings import MAX_BYTES, MAX_ROWS, Ratings, iter_read_ratings
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import DataFile, DataInfo, DataSlot, DataSpec
from simulators.youtube_recs._retrieval_params import RetrievalParams

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
FEWEST_POSITIVES, FEWEST_ITEMS = 1_000, 20
HELD_OUT = 0.2


class Split(NamedTuple):
    """Positives in order of user and time; users and items are numbered among those with a positive."""

    user: Ints
    item: Ints
    held: Flags  # rows the lists are judged by
    user_names: NDArray[np.str_]
    item_names: NDArray[np.str_]

    @property
    def train_user(self) -> Ints:
        return self.user[~self.held]

    @property
    def train_item(self) -> Ints:
        return self.item[~self.held]

    @property
    def n_users(self) -> int:
        return len(self.user_names)

    @property
    def n_items(self) -> int:
        return len(self.item_names)


def split_of(ratings: Ratings, params: RetrievalParams, random: np.random.Generator, name: str) -> Split:
    """Raises InvalidInput for too few positives or items, and for a split by time where there are no times."""
    keep = _first_positives(ratings, params.positive_at)
    if len(keep) < FEWEST_POSITIVES:
        raise InvalidInput(
            f"{name} has {len(keep):,} ratings of {params.positive_at:g} or more, each user and item counted once; "
            f"expected at least {FEWEST_POSITIVES:,}.",
            field="positive_at",
        )
    users, user = np.unique(ratings.user[keep], return_inverse=True)
    items, item = np.unique(ratings.item[keep], return_inverse=True)
    if len(items) < FEWEST_ITEMS:
        raise InvalidInput(f"{name} has {len(items)} items with a positive rating; expected at least {FEWEST_ITEMS}.", field="positive_at")
    held = _held_out(user, None if ratings.time is None else ratings.time[keep], params.split, random, name)
    return Split(user.astype(np.int64), item.astype(np.int64), held, ratings.user_names[users], ratings.item_names[items])


def _first_positives(ratings: Ratings, positive_at: float) -> Ints:
    """Rows by user and time, of each user and item the earliest positive one."""
    time = np.zeros(len(ratings.user)) if ratings.time is None else ratings.time
    rows = np.flatnonzero(ratings.rating >= positive_at)
    rows = rows[np.argsort(time[rows], kind="stable")]
    pair = ratings.user[rows] * np.int64(ratings.n_items) + ratings.item[rows]
    rows = rows[np.sort(np.unique(pair, return_index=True)[1])]
    return np.asarray(rows[np.argsort(ratings.user[rows], kind="stable")], dtype=np.int64)


def _held_out(user: Ints, time: NDArray[np.float64] | None, how: str, random: np.random.Generator, name: str) -> Flags:
    if how == "random":
        return np.asarray(random.random(len(user)) < HELD_OUT)
    if time is None:
        raise InvalidInput(f"{name} has no timestamps; choose the random split.", field="split")
    if how == "time":
        return np.asarray(time > np.quantile(time, 1 - HELD_OUT, method="lower"))
    last = np.append(user[1:] != user[:-1], True)
    return np.asarray(last & (np.bincount(user)[user] > 1))


def check(files: Mapping[str, DataFile], options: Mapping[str, str]) -> DataInfo:
    """Reads the file once; raises InvalidInput with line and column. See `DataSpec.check`."""
    file = files["ratings"]
    ratings = finish(iter_read_ratings(file.path, name=file.name))
    if len(ratings.user) < FEWEST_POSITIVES:
        raise InvalidInput(f"{file.name} has {len(ratings.user):,} rows; expected at least {FEWEST_POSITIVES:,} positive ratings.")
    if ratings.n_items < FEWEST_ITEMS:
        raise InvalidInput(f"{file.name} has {ratings.n_items} items in its column item; expected at least {FEWEST_ITEMS}.")
    return DataInfo(_facts(ratings), _warnings(ratings))


def _facts(ratings: Ratings) -> tuple[tuple[str, str], ...]:
    low, high = ratings.rating.min(), ratings.rating.max()
    positive = int(ratings.positive.sum())
    return (
        ("Ratings", f"{len(ratings.user):,}"),
        ("Users", f"{ratings.n_users:,}"),
        ("Items", f"{ratings.n_items:,}"),
        ("Scale", f"{low:g} to {high:g}; {positive:,} are {ratings.positive_at:g} or more ({positive / len(ratings.user):.0%})"),
        ("Times", "none" if ratings.time is None else f"{_day(ratings.time.min())} to {_day(ratings.time.max())}"),
    )


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def _warnings(ratings: Ratings) -> tuple[str, ...]:
    found = []
    if ratings.time is None:
        found.append("Timestamps missing: choose the random split.")
    if ratings.positive.sum() < FEWEST_POSITIVES:
        found.append(
            f"Only {int(ratings.positive.sum()):,} ratings are {ratings.positive_at:g} or more; lower the threshold under own data, for at "
            f"least {FEWEST_POSITIVES:,} are needed."
        )
    return tuple(found)


SPEC = DataSpec(
    title="Your ratings",
    help=(
        "One row a rating: user, item, rating, timestamp (seconds or milliseconds). MovieLens' u.data (tabs), ratings.dat (::) and "
        "ratings.csv with a header are read as they come, and RecBole's .inter. Ratings of 4 or more count as choices; part of them is "
        "held out as the truth."
    ),
    slots=(
        DataSlot(
            "ratings",
            "Ratings",
            f"Up to {MAX_ROWS // 10**6} million rows and {MAX_BYTES // 2**20} MB, UTF-8",
            (".data", ".dat", ".csv", ".inter", ".tsv", ".txt"),
            max_bytes=MAX_BYTES,
        ),
    ),
    check=check,
    example="196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n",
)

"""A click model in a world that changes: seven ways to keep it fresh, replayed day by day on the same log.

Every morning the day's impressions are scored by the model of that morning, then the day's labels come in. All schedules begin with the
same logistic regression on the first five days:

    static       never trained again
    daily        every morning on all history
    window       every morning on the last days
    weekly       every seventh morning on the last seven days
    online       stochastic gradient steps through the day, each batch scored before it is learned from
    triggered    on the newest day alone, when its normalised entropy lies above the trailing mean since the last training by a threshold
    recalibrate  static, its logit corrected each morning by Platt scaling on the newest day

Normalised entropy is log loss over the entropy of the day's own click rate (He et al. 2014): 1 is what the base rate alone reaches.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats, binary, finite, one_of, same_length
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finish

Schedule = Literal["static", "daily", "window", "weekly", "online", "triggered", "recalibrate"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
FIRST_DAYS = 5  # of the first model, which is not counted as training
WEEK = 7
TRAILING, JUDGED = 7, 2  # days of the mean an alarm compares with: at most, at least
BATCH = 200  # rows of a stochastic step
RIDGE = 1.0
HESSIAN_ROWS = 20_000
STEPS, ENOUGH = 25, 1e-4
FLOOR = 1e-9


@dataclass(frozen=True)
class Replay:
    """What a schedule did, by day.

    ne            (days,) normalised entropy of the day's predictions; NaN while the first model is being learned
    ratio         (days,) predicted over actual clicks, NaN likewise
    rows_trained  rows read by trainings after the first model, a row counted each time
    retrained_on  mornings on which there was a new model; every day for online
    p             predictions (n,) of each day, empty while there is no model
    """

    ne: Floats
    ratio: Floats
    rows_trained: int
    retrained_on: tuple[int, ...]
    p: tuple[Floats, ...]


class Log:
    """All rows below one another: `X` (N, D) and `y` (N,), day t in rows `start[t]` to `start[t + 1]`."""

    def __init__(self, days: Sequence[tuple[ArrayLike, ArrayLike]]) -> None:
        if len(days) <= FIRST_DAYS:
            raise ValueError(f"days holds {len(days)}; expected more than {FIRST_DAYS}, which the first model takes.")
        parts = [_day(number, *day) for number, day in enumerate(days)]
        widths = {x.shape[1] for x, _ in parts}
        if len(widths) > 1:
            raise ValueError(f"days have {sorted(widths)} features; expected the same number each day.")
        self.X, self.y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self.start: NDArray[np.int64] = np.cumsum([0, *(len(y) for _, y in parts)])

    def __len__(self) -> int:
        return len(self.start) - 1

    def rows(self, first: int, last: int) -> slice:
        """Of the days from `first` up to, not including, `last`."""
        return slice(int(self.start[first]), int(self.start[last]))


def replay(
    days: Sequence[tuple[ArrayLike, ArrayLike]],
    schedule: Schedule = "static",
    *,
    window: int = 3,
    lr: float = 0.6,
    threshold: float = 0.04,
    label_lag: int = 0,
) -> Replay:
    """Plays the days (X (n, D), y (n,)) through a schedule.

    window     days a training of "window" reads
    lr         step of "online" on the mean gradient of a batch of 200
    threshold  share by which a day's normalised entropy may exceed the trailing mean before "triggered" trains
    label_lag  days later than the next morning that labels arrive

    ValueError names the argument; of days, which one has no click or nothing but clicks.
    """
    return finish(iter_replay(days, schedule, window=window, lr=lr, threshold=threshold, label_lag=label_lag))


def iter_replay(
    days: Sequence[tuple[ArrayLike, ArrayLike]],
    schedule: Schedule = "static",
    *,
    window: int = 3,
    lr: float = 0.6,
    threshold: float = 0.04,
    label_lag: int = 0,
) -> Generator[Step, None, Replay]:
    """`replay` in steps, one a day, each with the day's normalised entropy and ratio."""
    one_of("schedule", schedule, SCHEDULES)
    _check(window=window, label_lag=label_lag, lr=lr, threshold=threshold)
    log = Log(days)
    course = _Course(log, schedule, window, lr, threshold, label_lag)
    for day in range(FIRST_DAYS, len(log)):
        course.play(day)
        yield Step(day + 1, len(log), f"day {day + 1}", {"ne": course.ne[day], "ratio": course.ratio[day]})
    return course.result()


class _Course:
    """A schedule on its way through the log. `theta` (D + 1,) is the model, intercept first; `platt` corrects its logit."""

    def __init__(self, log: Log, schedule: Schedule, window: int, lr: float, threshold: float, label_lag: int) -> None:
        self.log, self.schedule, self.window, self.lr = log, schedule, window, lr
        self.threshold, self.label_lag = threshold, label_lag
        self.ne, self.ratio = np.full(len(log), np.nan), np.full(len(log), np.nan)
        self.p: list[Floats] = [np.zeros(0)] * len(log)
        self.rows_trained, self.retrained_on = 0, list[int]()
        first = log.rows(0, FIRST_DAYS)
        self.theta = fit_logistic(log.X[first], log.y[first])
        self.platt = np.array([0.0, 1.0])

    def play(self, day: int) -> None:
        """The morning's training, the day's predictions, and what they were worth."""
        self._morning(day, known=day - self.label_lag)
        rows = self.log.rows(day, day + 1)
        self.p[day] = self._online(day) if self.schedule == "online" else self._predicted(rows)
        y = self.log.y[rows]
        self.ne[day] = metrics.normalized_entropy(y, self.p[day])
        self.ratio[day] = metrics.calibration_ratio(y, self.p[day])

    def result(self) -> Replay:
        return Replay(self.ne, self.ratio, self.rows_trained, tuple(self.retrained_on), tuple(self.p))

    def _morning(self, day: int, known: int) -> None:
        """Labels of the days before `known` are there. Until one is newer than the first model's, there is nothing to learn."""
        if known <= FIRST_DAYS and (self.label_lag or self.schedule in ("triggered", "weekly")):
            return
        if self.schedule == "daily":
            self._train(day, 0, known)
        elif self.schedule == "window":
            self._train(day, max(known - self.window, 0), known)
        elif self.schedule == "weekly" and (day - FIRST_DAYS) % WEEK == 0:
            self._train(day, max(known - WEEK, 0), known)
        elif self.schedule == "triggered" and self._alarm(known - 1):
            self._train(day, known - 1, known)
        elif self.schedule == "recalibrate":
            self._recalibrate(day, known)

    def _train(self, day: int, first: int, last: int) -> None:
        rows = self.log.rows(first, last)
        self.theta = fit_logistic(self.log.X[rows], self.log.y[rows], self.theta)
        self._count(day, rows)

    def _recalibrate(self, day: int, known: int) -> None:
        rows = self.log.rows(known - 1, known)
        logit = self.theta[0] + self.log.X[rows] @ self.theta[1:]
        self.platt = fit_logistic(logit[:, None], self.log.y[rows], self.platt)
        self._count(day, rows)

    def _count(self, day: int, rows: slice) -> None:
        self.rows_trained += rows.stop - rows.start
        self.retrained_on.append(day)

    def _alarm(self, newest: int) -> bool:
        """Whether the newest judged day stands out among those scored by the same model."""
        since = self.retrained_on[-1] if self.retrained_on else FIRST_DAYS
        before = self.ne[max(since, newest - TRAILING) : newest]
        return len(before) >= JUDGED and bool(self.ne[newest] > (1 + self.threshold) * before.mean())

    def _predicted(self, rows: slice) -> Floats:
        logit = self.theta[0] + self.log.X[rows] @ self.theta[1:]
        return _probability(self.platt[0] + self.platt[1] * logit)

    def _online(self, day: int) -> Floats:
        """Scores a batch, then learns from the one whose labels arrived: the same one, or the like of `label_lag` days ago."""
        rows = self.log.rows(day, day + 1)
        parts = []
        for start in range(rows.start, rows.stop, BATCH):
            batch = slice(start, min(start + BATCH, rows.stop))
            parts.append(self._predicted(batch))
            self._descend(day, batch.start - rows.start, batch.stop - rows.start)
        self.retrained_on.append(day)
        return np.concatenate(parts)

    def _descend(self, day: int, first: int, last: int) -> None:
        source = self.log.rows(day - self.label_lag, day - self.label_lag + 1)
        batch = slice(min(source.start + first, source.stop), min(source.start + last, source.stop))
        if day - self.label_lag < FIRST_DAYS or batch.start == batch.stop:
            return
        x, y = self.log.X[batch], self.log.y[batch]
        error = y - expit(self.theta[0] + x @ self.theta[1:])
        self.theta = self.theta + self.lr * np.concatenate([[error.mean()], error @ x / len(y)])
        self.rows_trained += len(y)


def fit_logistic(X: Floats, y: Floats, start: Floats | None = None) -> Floats:
    """(D + 1,): intercept and weights of ridge logistic regression (penalty 1/2 |w|^2, none on the intercept), by Newton's method.

    The Hessian of more than 20,000 rows is estimated from 20,000 spread evenly; the gradient is exact, so the optimum is too.
    """
    theta = np.zeros(X.shape[1] + 1) if start is None else start
    ridge = np.full(len(theta), RIDGE)
    ridge[0] = 1e-9
    sample = slice(None, None, max(1, len(X) // HESSIAN_ROWS))
    some = np.concatenate([np.ones((len(X[sample]), 1)), X[sample]], axis=1)
    scale = len(X) / len(some)

    def tried(at: Floats) -> tuple[float, Floats]:
        """The penalised log loss and the probabilities."""
        logit = at[0] + X @ at[1:]
        return float(np.logaddexp(0, logit).sum() - y @ logit + ridge @ at**2 / 2), np.asarray(expit(logit))

    loss, p = tried(theta)
    for _ in range(STEPS):
        error = y - p
        gradient = np.concatenate([[error.sum()], error @ X]) - ridge * theta
        hessian = scale * (some.T * (p[sample] * (1 - p[sample]))) @ some + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        lower, p = tried(theta + step)
        while lower > loss and np.abs(step).max() > ENOUGH:  # a far step on flat ground overshoots
            step = step / 4
            lower, p = tried(theta + step)
        theta, loss = theta + step, lower
        if np.abs(step).max() < ENOUGH:
            break
    return theta


def _probability(logit: Floats) -> Floats:
    """Never exactly 0 or 1, where log loss has no value."""
    return np.asarray(np.clip(expit(logit), FLOOR, 1 - FLOOR))


def _day(number: int, X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    x, labels = finite(f"days[{number}] X", X, ndim=2), binary(f"days[{number}] y", y, ndim=1)
    same_length(**{f"days[{number}] X": x, f"days[{number}] y": labels})
    if not len(labels) or labels.min() == labels.max():
        raise ValueError(f"days[{number}] y holds {int(labels.sum())} clicks in {len(labels)} rows; expected some clicks and some without.")
    return x, labels


def _check(*, window: int, label_lag: int, lr: float, threshold: float) -> None:
    if window < 1:
        raise ValueError(f"window is {window}; expected 1 day or more.")
    if label_lag < 0:
        raise ValueError(f"label_lag is {label_lag}; expected 0 days or more.")
    for name, value in (("lr", lr), ("threshold", threshold)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}; expected above 0.")

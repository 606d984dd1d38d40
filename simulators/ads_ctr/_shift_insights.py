"""What a month shows, in words: one sentence an effect, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.ads_ctr._shift_params import LABELS, Way
from simulators.ads_ctr._shift_study import Study
from simulators.lab import Insight

CLEAR = 0.005  # of normalised entropy
CALIBRATED = 0.1


def insights(study: Study) -> list[Insight]:
    if study.regime.shift is None:
        return [*_quiet(study), *_best(study)]
    found = [
        *_static(study),
        *_memory(study),
        *_platt(study),
        *_online(study),
        *_alarm(study),
        *_price(study),
        *_late_labels(study),
        *_returned(study),
    ]
    return [*found, *_best(study)]


def _best(study: Study) -> Iterator[Insight]:
    best = study.best
    dear = max(study.played, key=lambda way: study.played[way].rows_trained)
    told = "" if dear == best else f"; {LABELS[dear]} reads {study.played[dear].rows_trained:,} for {study.mean(dear):.3f}"
    yield Insight(
        f"Over the month {LABELS[best]} is best with a normalised entropy of {study.mean(best):.3f} for "
        f"{study.played[best].rows_trained:,} rows of training{told}.",
        "architecture",
        "best",
    )


def _quiet(study: Study) -> Iterator[Insight]:
    values = {way: study.mean(way) for way in study.played}
    worst = max(values, key=lambda way: values[way])
    yield Insight(
        f"Nothing changes in this month, and every way to be fresh only costs: the worst, {LABELS[worst]}, averages {values[worst]:.3f}, "
        f"the best {min(values.values()):.3f}.",
        "evaluation",
        "quiet",
    )


def _static(study: Study) -> Iterator[Insight]:
    if "static" not in study.played:
        return
    replay, shift, ratio = study.played["static"], study.regime.shift, study.ratio_after("static")
    assert shift is not None and ratio is not None
    before, after = study.before("static"), float(replay.ne[shift])
    if abs(ratio - 1) <= CALIBRATED and after > (before or 0) + 0.1:
        worse = ", worse than the base rate alone," if after > 1 else ""
        yield Insight(
            f"The old model goes from {before:.3f} to {after:.3f}{worse} and still predicts {ratio:.2f} clicks for each that comes: the "
            "mean is right, the ranking is gone, and a monitor of overall calibration is blind to it.",
            "evaluation",
            "blind_monitor",
        )
    elif abs(ratio - 1) > CALIBRATED:
        side = "under" if ratio < 1 else "over"
        yield Insight(
            f"Clicks became {'more' if ratio < 1 else 'less'} frequent and the old model predicts {ratio:.2f} for each that comes: it "
            f"{side}-bids, and its normalised entropy goes from {before:.3f} to {after:.3f}.",
            "deep_dive",
            "wrong_level",
        )


def _memory(study: Study) -> Iterator[Insight]:
    ways: list[Way] = [way for way in ("daily", "weekly", "window", "yesterday") if way in study.played]
    shift = study.regime.shift
    assert shift is not None
    if len(ways) < 2 or shift + 1 >= len(study.days):
        return
    after = {way: float(study.played[way].ne[shift + 1]) for way in ways}
    slow, fast = max(after, key=lambda way: after[way]), min(after, key=lambda way: after[way])
    if after[slow] - after[fast] < CLEAR:
        return
    settles = f", and still stands at {study.late(slow):.3f} in the last days" if study.late(slow) > study.late(fast) + 0.05 else ""
    yield Insight(
        f"The day after, {LABELS[fast]} reads {after[fast]:.3f} and {LABELS[slow]} {after[slow]:.3f}{settles}: what was learned from the "
        "old world is what has to be forgotten.",
        "deep_dive",
        "memory",
    )


def _platt(study: Study) -> Iterator[Insight]:
    if "recalibrate" not in study.played:
        return
    replay, shift, ratio = study.played["recalibrate"], study.regime.shift, study.ratio_after("recalibrate")
    assert shift is not None and study.floor is not None
    if shift + 1 >= len(study.days):
        return
    after, floor = float(replay.ne[shift + 1]), float(study.floor[shift + 1])
    healed = "and that was all that was wrong" if after < floor + 0.03 else "but no map of one number brings the ranking back"
    yield Insight(
        f"Platt scaling every morning reads {after:.3f} on the day after (the truth {floor:.3f}), with {ratio:.2f} clicks predicted for "
        f"each: it shrinks and shifts what the old model says, {healed}.",
        "deep_dive",
        "platt",
    )


def _online(study: Study) -> Iterator[Insight]:
    if "online" not in study.played:
        return
    replay, shift, before = study.played["online"], study.regime.shift, study.before("online")
    assert shift is not None and study.floor is not None and before is not None
    price = before - float(study.floor[study.regime.quiet].mean())
    yield Insight(
        f"Online steps of {study.params.lr:g} lose {price:.3f} on quiet days and read {replay.ne[shift]:.3f} on the day of the shift "
        "itself, for they learn while it happens; a larger step moves both.",
        "deep_dive",
        "online",
    )


def _alarm(study: Study) -> Iterator[Insight]:
    counted = study.alarms()
    if counted is None:
        return
    false, missed = counted
    replay = study.played["triggered"]
    verdict = "it missed the change" if missed else "it rang when it had to"
    spurious = f", and {false} time{'s' * (false != 1)} for noise" if false else ""
    yield Insight(
        f"The alarm at {study.params.threshold:.1%} trained on {replay.rows_trained:,} rows in all for a mean of "
        f"{study.mean('triggered'):.3f}: {verdict}{spurious}.",
        "evaluation",
        "alarm",
    )


def _price(study: Study) -> Iterator[Insight]:
    """Freshness is paid for on quiet days."""
    ways: list[Way] = [way for way in ("yesterday", "window") if way in study.played]
    if not ways or not {"daily", "static"} & set(study.played):
        return
    short, other = ways[0], "daily" if "daily" in study.played else "static"
    mine, quiet = study.before(short), study.before(other)  # type: ignore[arg-type]
    if mine is not None and quiet is not None and mine - quiet >= 0.002:
        yield Insight(
            f"Freshness has a price: while nothing changed, {LABELS[short]} read {mine:.3f} and {LABELS[other]} {quiet:.3f}, for few rows "
            "are noisy rows.",
            "deep_dive",
            "price_of_freshness",
        )


def _late_labels(study: Study) -> Iterator[Insight]:
    lag = study.params.label_lag
    if lag:
        yield Insight(
            f"Labels arrive {lag} day{'s' * (lag != 1)} late, so for that long after the shift every schedule serves the old world, "
            "however often it trains.",
            "deep_dive",
            "late_labels",
        )


def _returned(study: Study) -> Iterator[Insight]:
    if len(study.regime.changes) < 2:
        return
    back = study.regime.changes[1]
    day = {way: float(replay.ne[back]) for way, replay in study.played.items()}
    worst, best = max(day, key=lambda way: day[way]), min(day, key=lambda way: day[way])
    yield Insight(
        f"On day {back} the old world is back: {LABELS[worst]} reads {day[worst]:.3f}, {LABELS[best]} {day[best]:.3f}. Whoever learned the "
        "short season has to forget it again, and who never learned it is right at once.",
        "deep_dive",
        "return",
    )

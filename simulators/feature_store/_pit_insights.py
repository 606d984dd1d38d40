"""What a study shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.feature_store._pit_params import LABELS
from simulators.feature_store._pit_scores import difference
from simulators.feature_store._pit_study import Study
from simulators.lab import Insight

HIDDEN_LOSS = 0.01  # of the online AUC: less than this nobody would see
CLOSED_GAP = 0.001
MANY_NULLS = 0.05


def insights(study: Study) -> list[Insight]:
    return [*_leak(study), *_ceiling(study), *_harm(study), *_closed(study), *_late(study), *_log(study), *_nulls(study), *_bounds(study)]


def _leak(study: Study) -> Iterator[Insight]:
    found = study.score
    if study.chosen == "latest":
        yield Insight(
            f"The latest row already counts clicks that came after the label: offline AUC {found.offline.value:.3f}, online "
            f"{found.online.value:.3f}, a gap of {found.gap.value:.3f} that no offline metric shows.",
            "deep_dive",
            "latest",
        )
    if study.chosen == "event_in_window":
        own = int((study.joined(study.chosen).newer).sum())
        yield Insight(
            f"Joined when the label closes, {own:,} labels find a row written by their own click or by one soon after it: offline AUC "
            f"{found.offline.value:.3f}, online {found.online.value:.3f}.",
            "deep_dive",
            "own_event",
        )


def _ceiling(study: Study) -> Iterator[Insight]:
    found, best = study.score, study.ceiling.auc
    above = difference(found.offline_placements, study.ceiling)
    if above.ci[0] > 0:
        yield Insight(
            f"An offline AUC of {found.offline.value:.3f} lies {above.value:.3f} above the {best:.3f} that the true click probability "
            "reaches on the same rows; no honest feature can do that, so it is proof of a leak.",
            "evaluation",
            "above_ceiling",
        )
    elif study.joined(study.chosen).leaked and found.gap.value > CLOSED_GAP:
        yield Insight(
            f"The offline AUC of {found.offline.value:.3f} is not clearly above the ceiling of {best:.3f}, and "
            f"{study.joined(study.chosen).leaked:,} labels leak all the same: staying below it proves nothing.",
            "evaluation",
            "below_ceiling",
        )


def _harm(study: Study) -> Iterator[Insight]:
    if study.chosen != "event_in_window":
        return
    mine, right = study.score, study.scores["as_known_at"]
    loss = right.online.value - mine.online.value
    if loss >= HIDDEN_LOSS:
        yield Insight(
            f"The model learned that no click in the window means no click at all; served without its own label it loses {loss:.3f} of "
            f"online AUC to the model of the right join ({right.online.value:.3f}).",
            "deep_dive",
            "online_loss",
        )
    else:
        yield Insight(
            f"One leaked feature that only rises, and a model that only rises with it: the ranking survives (online AUC "
            f"{mine.online.value:.3f}, right join {right.online.value:.3f}). The harm shows in calibration: it predicts "
            f"{mine.calibration:.2f} clicks for each that comes, the right join {right.calibration:.2f}.",
            "evaluation",
            "hidden_harm",
        )


def _closed(study: Study) -> Iterator[Insight]:
    """What the right join does on the same labels."""
    right = study.scores["as_known_at"]
    if study.chosen not in ("as_known_at", "served_log") and study.score.gap.value > CLOSED_GAP:
        yield Insight(
            f"The join as known at the request closes the gap: {right.offline.value:.3f} offline and {right.online.value:.3f} online on "
            "the same labels, a lower promise and a kept one.",
            "deep_dive",
            "right_join",
        )
    elif study.chosen in ("as_known_at", "served_log") and abs(study.score.gap.value) <= CLOSED_GAP:
        worst = study.scores["latest"]
        yield Insight(
            f"Training rows hold what was served, so the offline AUC keeps its promise: {study.score.offline.value:.3f} offline, "
            f"{study.score.online.value:.3f} online, where the latest row promised {worst.offline.value:.3f}.",
            "deep_dive",
            "as_known",
        )


def _late(study: Study) -> Iterator[Insight]:
    if study.chosen != "event_time":
        return
    later, gap = int(study.joined("event_time").written_later.sum()), study.score.gap
    if later:
        yield Insight(
            f"Event time alone does not finish the job: {later:,} labels got a row that the backfill wrote after their request, and "
            f"the gap is {gap.value:.4f} ({gap.ci[0]:.4f} to {gap.ci[1]:.4f}); filtering by created time leaves "
            f"{study.scores['as_known_at'].gap.value:.4f}.",
            "deep_dive",
            "late_data",
        )
    else:
        yield Insight(f"No click is late, so event time and known time agree and the gap is {gap.value:.4f}.", "deep_dive", "no_late_data")


def _log(study: Study) -> Iterator[Insight]:
    if study.chosen != "served_log":
        return
    mine, right = study.score, study.scores["as_known_at"]
    yield Insight(
        f"Logging what is served needs no join and no trust in created times; it costs {study.wait_days('served_log')} days of waiting, "
        f"{study.log_gb_a_day('served_log'):,.0f} GB a day, and trains on {mine.train_rows:,} rows instead of {right.train_rows:,}.",
        "architecture",
        "served_log",
    )


def _nulls(study: Study) -> Iterator[Insight]:
    share = study.joined(study.chosen).null_share
    if share > MANY_NULLS:
        yield Insight(
            f"With a time to live of {study.params.ttl:g} d, {share:.0%} of the labels find no row: the nightly job rewrites only users "
            "who were active, and the rows of the others expire.",
            "deep_dive",
            "expired",
        )


def _bounds(study: Study) -> Iterator[Insight]:
    mine = study.joined(study.chosen)
    if study.params.upper != "inclusive" or study.chosen in ("latest", "event_in_window"):
        return
    same = int(mine.same_time.sum())
    if same == 0:
        yield Insight(
            "The inclusive bound changes nothing here: clicks are stamped seconds after their impression, and it leaks only where event "
            f"and label share a timestamp. {LABELS[study.chosen].capitalize()} meets no such row.",
            "deep_dive",
            "inclusive",
        )
    else:
        yield Insight(
            f"{same:,} labels got a row of their very own timestamp, which an exclusive bound leaves out.", "deep_dive", "inclusive"
        )

"""Lab: what a training join lets through from the future, and what the model that learned from it is worth online."""

from __future__ import annotations

from simulators.engines.features import pit
from simulators.engines.features.pit import NONE
from simulators.feature_store import _pit_model as model
from simulators.feature_store import _pit_views as views
from simulators.feature_store._pit_challenge import HONEST
from simulators.feature_store._pit_data import SPEC
from simulators.feature_store._pit_insights import insights
from simulators.feature_store._pit_joins import Joined
from simulators.feature_store._pit_own import run_own
from simulators.feature_store._pit_params import JOINS, Join, PointInTimeParams
from simulators.feature_store._pit_study import Study, joins_steps, score_steps, study_of, world_steps
from simulators.feature_store._pit_timeline import Moment, telling, timeline
from simulators.feature_store._pit_world import DAYS, TRAIN_END_US, USERS
from simulators.lab import Context, Figure, Frame, Lab, Preset, Progress, Result, Steps


class PointInTimeLab(Lab):
    """How far does the offline score lie when the training join looks into the future, and which join stops it?

    **The world.** 5,000 users see ads for 30 days. The log-odds of a click are a user's affinity, a random walk of their interest by day,
    and the quality of the ad; they are known, so the AUC that no model can pass is known too. The feature is the number of clicks in the
    last days. A stream job writes a row whenever that number changes, a nightly job rewrites the rows of the users who were active, and
    last night a backfill corrected the history for clicks that had arrived late. Its rows carry the old event times and say that they
    were created last night.

    **The joins.** *Latest* takes the newest row there is. *At label close* takes the newest row when the label became final, half an hour
    after the request, and so counts the label's own click. *By event time* takes the newest row before the request, backfilled or not.
    *As known at request* also asks that the row had been written by then. *Logged when served* keeps the served values themselves,
    and has to wait for them.

    **Two scores.** Every model learns from the first three quarters of the days. Offline it is scored on the joined test rows, online on
    the values that the store held at those requests, which are replayed from its counters without any join. The clicks are the same.

    With your own file of labels and feature rows the joins run on your data: leaked rows, nulls and the row each join picks; no model.
    """

    title = "Joins that look into the future"
    why = "Leakage is invisible in offline metrics, which reward it; a timestamp of at most T is necessary and does not finish the job."
    engines = ("simulators.engines.features.pit", "simulators.engines.features.windows")
    sources = (
        "Snodgrass 1999, Developing Time-Oriented Database Applications in SQL (valid and transaction time)",
        "Kaufman, Rosset, Perlich & Stitelman 2012, Leakage in data mining, ACM TKDD 6(4)",
        "DeLong, DeLong & Clarke-Pearson 1988, Comparing areas under correlated ROC curves, Biometrics 44(3)",
        "Feast and Chronon documentation: point-in-time joins, created-time filter, exclusive bounds",
    )
    map_axes = ("gap", "online_auc")
    data = SPEC
    Params = PointInTimeParams
    challenges = (HONEST,)
    presets = (
        Preset(
            "best_model_ever",
            "The best model we ever trained",
            "Four weeks of clicks, newest row: offline it comes near what the truth itself would score. Then it ships.",
            {"window": 28, "drift": 0.4},
        ),
        Preset(
            "click_counts_itself",
            "The click counts itself",
            "The window closes with the label, so each click is in its own feature. Offline passes the ceiling; online pays.",
            {"join": "event_in_window"},
        ),
        Preset(
            "backfilled_last_night",
            "Backfilled last night",
            "Most clicks arrive a day late and a backfill put them where they belong. Event time is right, and still not what was served.",
            {"join": "event_time", "late_share": 80.0},
        ),
        Preset(
            "log_and_wait",
            "Log and wait",
            "No join at all: train on what was served, as soon as there is a week of it.",
            {"join": "served_log", "late_share": 80.0},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        pit.warm_up()
        model.load("boosting")

    def run(self, params: PointInTimeParams, ctx: Context) -> Steps:
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        model.load(params.model)
        world = yield from world_steps(ctx, params)
        joins, join_ms = yield from joins_steps(params, world)
        study = study_of(ctx, params, world, joins, join_ms)
        counts, drawn = (
            views.count_metrics(study),
            [views.leak_figure({mode: study.joined(mode) for mode in JOINS}, params.join), _timeline(study)],
        )
        yield Frame(counts, drawn)
        yield from score_steps(ctx, study, params.join)
        yield Frame(views.score_metrics(study), [views.auc_figure(study), views.calibration_figure(study)])
        for mode in sorted(JOINS, key=lambda name: name != "as_known_at"):
            yield Progress(len(study.scores), len(JOINS), "scoring the other joins")
            yield from score_steps(ctx, study, mode)
        return Result(
            metrics=[*views.score_metrics(study), views.loss_metric(study), *counts],
            figures=[views.auc_figure(study), *drawn, views.calibration_figure(study)],
            tables=[views.joins_table(study)],
            insights=insights(study),
            notes=list(_notes(study)),
        )


def _timeline(study: Study) -> Figure:
    """Of the test label over which the joins disagree most."""
    shown, rows = study.world.shown, study.world.rows
    joins: dict[Join, Joined] = {mode: study.joins[mode] for mode in JOINS if mode != "served_log"}
    label = telling(joins, (shown.at_us >= TRAIN_END_US).nonzero()[0])
    user = int(shown.user[label])
    moment = Moment(label, f"User {user}", int(shown.at_us[label]), 0)
    return timeline(moment, study.world.store, (rows.user == user).nonzero()[0], rows.value, joins)


def _notes(study: Study) -> list[str]:
    found, notes = study.score, [f"{USERS:,} users over {DAYS} days; the model learns from the first 75 % of them."]
    if study.params.impressions > found.train_rows + found.test_rows and study.chosen != "served_log":
        notes.append(f"Joins cover every label; models learn from {found.train_rows:,} of them and are scored on {found.test_rows:,}.")
    if study.params.model == "logistic" and (study.joins["as_known_at"].row == NONE).any():
        notes.append("Logistic regression reads a missing count as the serving default, 0.")
    return notes

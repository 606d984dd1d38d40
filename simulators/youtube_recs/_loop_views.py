"""Tiles, figures and the table of the lab `feedback_loop`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulators.engines.ranking.arguments import Flags, Floats, Ints
from simulators.engines.ranking.loop import Rounds
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.youtube_recs._loop_params import LoopParams
from simulators.youtube_recs._loop_runs import LATE, WORLDS, Exposure, Gain, Setting, Study, Sweep, chosen, companion, late

SERVED, MODEL, OTHER, NEW, OLD, GRUDGE = 0, 1, 2, 4, 5, 3  # colours
POINTS = 500  # items drawn, at most
UNSEEN = 0.5  # where a logarithmic axis shows none
FLOOR = 0.4  # the axis of clicks begins here where nothing lies below
ORACLE = "best slates"
NO_NEW = "No item is replaced, so none is new."
NO_GRUDGE = "No item has a false history."


# --- tiles --------------------------------------------------------------------------------------------------------------------


def metrics(mine: Rounds, params: LoopParams) -> list[Metric]:
    """Means of the last rounds."""
    served, model = _percent(mine.served), _percent(mine.model)
    new, grudge = late(mine.new_share), late(mine.grudge)
    nothing_new = NO_NEW if new is None else ""
    ctr = late(mine.oracle_ctr) or 0.0
    return [
        Metric("served", "Served clicks", served, "% of oracle", "up", limit=100.0, limit_label=ORACLE),
        Metric("model", "What the model could serve", model, "% of oracle", "up", limit=100.0, limit_label=ORACLE),
        Metric("coverage", "Catalogue shown a round", _percent(mine.coverage), "%", "up"),
        Metric("new_share", "New items, on arrival", new, "x fair share", "up", limit=1.0, limit_label="fair", note=nothing_new),
        Metric("random_slots", "Slots filled without the model", _percent(mine.random_share), "%", "down"),
        Metric("price", "Clicks given up by exploring", 100 * (model - served) / model, "%", "down"),
        Metric("gini", "Gini of impressions", late(mine.gini), "Gini", "down"),
        Metric("overconfidence", "Predicted over true rate, picks", late(mine.overconfidence), "ratio", limit=1.0, limit_label="ideal"),
        Metric("ctr", "Click rate served", served * ctr, "%", "up", limit=100 * ctr, limit_label=ORACLE),
        Metric(
            "grudge", "Falsely judged items in the picks", grudge, "x fair share", "up", limit=1.0, limit_label="fair",
            note=NO_GRUDGE if grudge is None else "",
        ),
    ]  # fmt: skip


def gain_metrics(found: Gain, params: LoopParams) -> list[Metric]:
    """Differences to the policy it is compared with, paired by world; an interval of two standard deviations."""
    name = companion(params).name
    return [
        _difference("gain_served", f"Served, against {name}", found.served, found),
        _difference("gain_model", f"Model, against {name}", found.model, found),
    ]


def _difference(key: str, label: str, differences: Floats, found: Gain) -> Metric:
    mean = float(differences.mean())
    if len(differences) == 1:
        return Metric(key, label, mean, "points", "up", note="One world only: no interval.")
    spread = 2 * float(differences.std(ddof=1))
    note = "" if found.clear(differences) else "Within noise: less than two standard deviations over the worlds."
    return Metric(key, label, mean, "points", "up", (mean - spread, mean + spread), note=note)


def _percent(values: Floats) -> float:
    return 100 * (late(values) or 0.0)


# --- figures on the way ---------------------------------------------------------------------------------------------------------


def clicks_figure(mine: Rounds, other: Rounds, params: LoopParams) -> Figure:
    name, beside = chosen(params).name, companion(params).name
    rounds = len(mine.served)
    lowest = min(mine.served.min(), other.served.min())
    served, model = _percent(mine.served), _percent(mine.model)
    series = [
        Series(f"{name}: served", *_curve(mine.served), "lines", SERVED),
        Series(f"{name}: the model's best", *_curve(mine.model), "lines", MODEL),
        Series(f"{beside}: served", *_curve(other.served[:rounds]), "lines", OTHER),
    ]
    figure = line_figure(
        "clicks",
        f"{name[0].upper()}{name[1:]} serves {served:.0f} % of the clicks there are; its model could serve {model:.0f} %",
        f"Means of the last {min(rounds, LATE)} rounds: {name} serves {served:.1f} %, its model's best slates are worth {model:.1f} %, "
        f"{beside} served {_percent(other.served[:rounds]):.1f} % of the best slates' clicks.",
        series,
        Axis("Round", "rounds", range=(0, params.rounds + 1)),
        Axis("Clicks, of the best slates", percent=True, range=(FLOOR if lowest >= FLOOR else 0, 1.08)),
    )
    return with_line(figure, label=ORACLE, y=1.0)


def _curve(values: Floats) -> tuple[list[int], list[float | None]]:
    return list(range(1, len(values) + 1)), [None if np.isnan(value) else float(value) for value in values]


def exposure_figure(found: Exposure) -> Figure:
    """Each item by its click rate where it does best and by its impressions; none is drawn at a half."""
    world, shown = found.world, found.shown
    appeal, drawn = world.p.max(axis=0), np.zeros(len(shown), dtype=bool)
    drawn[:: -(-len(shown) // POINTS)] = True
    newer = world.arrived > world.round - LATE
    newer &= world.arrived >= 0
    groups = (
        ("older", ~newer & ~world.biased, OLD),
        (f"came in the last {LATE} rounds", newer & ~world.biased, NEW),
        ("false history", world.biased, GRUDGE),
    )
    wanted = found.oracle > 0
    series = [
        Series(ORACLE, appeal[wanted].tolist(), found.oracle[wanted].tolist(), "markers", truth=True),
        *(_group(name, appeal, shown, drawn & members, colour) for name, members, colour in groups if (drawn & members).any()),
    ]
    figure = line_figure(
        "exposure",
        f"{found.starved} of the {int(wanted.sum())} items that belong on a slate got less than a tenth of their due",
        f"{int((shown > 0).sum()):,} of {len(shown):,} items were shown in the last {found.rounds} rounds; of the {int(wanted.sum())} "
        f"items that the best slates hold, {found.unseen} were not shown at all. Those stand at one half.",
        series,
        Axis("Click rate of the item in its best segment", percent=True),
        Axis(f"Shown in {LATE} rounds", "impressions", "log", (0.3, 2e5)),
    )
    return with_line(figure, label="never shown", y=UNSEEN)


def _group(name: str, appeal: Floats, shown: Ints, members: Flags, colour: int) -> Series:
    text = [f"{rate:.1%} click rate, {count:,} impressions" for rate, count in zip(appeal[members], shown[members], strict=True)]
    return Series(name, appeal[members].tolist(), np.maximum(shown[members], UNSEEN).tolist(), "markers", colour, text=text)


def figures(study: Study) -> list[Figure | None]:
    """All of them, in the order of the page."""
    return [
        clicks_figure(study.mine, study.other, study.params),
        exposure_figure(study.exposure),
        sweep_figure(study.sweep, study.params) if study.sweep else None,
        catalogue_figure(study),
        newcomers_figure(study),
    ]


# --- figures at the end ---------------------------------------------------------------------------------------------------------


def catalogue_figure(study: Study) -> Figure:
    mine, other, name, beside = study.mine, study.other, chosen(study.params).name, companion(study.params).name
    series = [
        Series(f"{name}: catalogue shown", *_curve(mine.coverage), "lines", SERVED),
        Series(f"{beside}: catalogue shown", *_curve(other.coverage), "lines", OTHER),
        Series(f"{name}: Gini of impressions", *_curve(mine.gini), "lines", MODEL),
    ]
    coverage, gini = _percent(mine.coverage), late(mine.gini) or 0.0
    return line_figure(
        "catalogue",
        f"{coverage:.0f} % of the catalogue is shown in a round, with a Gini of {gini:.2f}",
        f"{name} shows {coverage:.1f} % of the items a round, {beside} {_percent(other.coverage):.1f} %; the Gini of {name} is {gini:.3f}.",
        series,
        Axis("Round", "rounds"),
        Axis("Items shown; Gini", "share", range=(0, 1.05)),
    )


def newcomers_figure(study: Study) -> Figure | None:
    """None where no item is new."""
    mine, other = late(study.mine.new_share), late(study.other.new_share)
    if mine is None or other is None:
        return None
    name, beside = chosen(study.params).name, companion(study.params).name
    series = [
        Series(name, *_curve(study.mine.new_share), "lines", SERVED),
        Series(beside, *_curve(study.other.new_share), "lines", OTHER),
    ]
    figure = line_figure(
        "newcomers",
        f"On arrival an item gets {mine:.2f} of its fair share",
        f"Impressions of the items that came in the round over their share of the catalogue: {name} {mine:.3f}, {beside} {other:.3f}.",
        series,
        Axis("Round", "rounds"),
        Axis("Impressions of new items", "x fair share"),
    )
    return with_line(figure, label="fair share", y=1.0)


def sweep_figure(found: Sweep, params: LoopParams) -> Figure:
    served, model = found.served.mean(axis=1), found.model.mean(axis=1)
    best, best_model = found.shares[int(served.argmax())], found.shares[int(model.argmax())]
    series = [_swept("served", found, found.served, SERVED), _swept("the model's best", found, found.model, MODEL)]
    said = "; ".join(f"{share:.0%}: served {a:.1%}, model {b:.1%}" for share, a, b in zip(found.shares, served, model, strict=True))
    if params.policy == "epsilon":
        ends = [float(found.served.min()), float(found.model.max())]
        series.append(Series("chosen", [params.epsilon] * 2, ends, "lines", truth=True))
    return line_figure(
        "sweep",
        f"Clicks are highest at {best:.0%} of random slots, the model at {best_model:.0%}",
        f"Means of {WORLDS} worlds, last {LATE} rounds. {said}.",
        series,
        Axis("Random slots, all items alike", percent=True),
        Axis("Clicks, of the best slates", percent=True),
    )


def _swept(name: str, found: Sweep, values: Floats, colour: int) -> Series:
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    return Series(name, found.shares, mean.tolist(), "lines+markers", colour, low=(mean - spread).tolist(), high=(mean + spread).tolist())


# --- table --------------------------------------------------------------------------------------------------------------------


def table(study: Study) -> Table:
    columns = (
        "Policy",
        "Served (% of oracle)",
        "Model (% of oracle)",
        "Catalogue a round (%)",
        "New items (x fair share)",
        "Gini",
        "Predicted over true (ratio)",
        "Random slots (%)",
    )
    rows = (_row(chosen(study.params), study.mine), _row(companion(study.params), study.other))
    return Table("policies", f"Both policies on the same world, last {LATE} rounds", columns, (*rows, *_sweep_rows(study.sweep)))


def _row(setting: Setting, run: Rounds) -> tuple[str | float | None, ...]:
    return (
        setting.name,
        _percent(run.served),
        _percent(run.model),
        _percent(run.coverage),
        late(run.new_share),
        late(run.gini),
        late(run.overconfidence),
        _percent(run.random_share),
    )


def _sweep_rows(found: Sweep | None) -> Iterable[tuple[str | float | None, ...]]:
    if found is None:
        return
    for share, served, model in zip(found.shares, found.served.mean(axis=1), found.model.mean(axis=1), strict=True):
        yield (f"random {share:.0%}, {WORLDS} worlds", 100 * float(served), 100 * float(model), None, None, None, None, 100 * share)

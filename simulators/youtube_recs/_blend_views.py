"""Tiles, figures and tables of a study."""

from __future__ import annotations

import numpy as np

from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.youtube_recs._blend_front import SLATES, Cloud
from simulators.youtube_recs._blend_heads import macs_a_candidate
from simulators.youtube_recs._blend_pages import CLICK, DISLIKE, Floats, Served, scales_of, serve
from simulators.youtube_recs._blend_params import DIVERSITY_LABELS, HEAD_LABELS, HEADS
from simulators.youtube_recs._blend_study import CURVE_SLATES, CURVES, STRENGTHS, Point, Study

OUTCOMES = {"click": "clicks", "minutes": "minutes", "like": "likes", "comment": "comments", "subscribe": "subscriptions"}
PER_1000 = "per 1,000 clicks"
SAMPLE = 0  # the slate whose page is drawn
LIGHT = 1  # place of lambda 0.9 among the strengths of MMR
NAMES = {
    "mine": "This design",
    "plain": "By score alone",
    "truth": "This design, true heads",
    "ceiling": "Ceiling: true heads, satiation known",
    "clicks": "By clicks alone",
    "minutes": "By minutes alone",
}


# --- tiles --------------------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    mine = study.mine
    return [
        *(_outcome(study, head, key) for head, key in OUTCOMES.items()),
        Metric("dislikes", "Dislikes", mine.dislikes, PER_1000, "down", _ratio_interval(mine.brought[:, DISLIKE], mine.brought[:, CLICK])),
        Metric("abandonment", "Clicks watched under 30 s", 100 * mine.abandonment, "% of clicks", "down"),
        Metric("topics", "Topics on a page", float(mine.topics.mean()), "of 10", "up", _interval(mine.topics.astype(float))),
        Metric("distance", "Distance within a page", float(mine.distance.mean()), "1 - cosine", "up", _interval(mine.distance)),
        Metric("macs", "Ranker's work a candidate", float(macs_a_candidate(study.params)), "multiply-adds", "down"),
        Metric("explore_slots", "Exploration slots", float(study.params.explore_slots), "of 10"),
    ]


def compared_metrics(study: Study) -> list[Metric]:
    share, (head, factor) = study.share("mine"), furthest_off(study)
    note = "" if share is not None else "by these weights even the best page is worth nothing"
    return [
        Metric("value_share", "Worth, share of the ceiling", share, "share", "up", limit=1.0, limit_label="ceiling", note=note),
        Metric("head_off", "Head furthest off", factor, "x", "down", limit=1.0, limit_label="calibrated", note=HEAD_LABELS[head]),
    ]


def _outcome(study: Study, head: str, key: str) -> Metric:
    per_slate, bound = study.mine.brought[:, HEADS.index(head)], study.backdrop.bounds.get(head)
    label = "most a page can bring" if bound is not None else ""
    unit = "min a slate" if head == "minutes" else "a slate"
    return Metric(key, key.capitalize(), study.mine.mean(head), unit, "up", _interval(per_slate), limit=bound, limit_label=label)


def _interval(per_slate: Floats) -> tuple[float, float]:
    mean, half = float(per_slate.mean()), 1.96 * float(per_slate.std(ddof=1)) / len(per_slate) ** 0.5
    return mean - half, mean + half


def _ratio_interval(dislikes: Floats, clicks: Floats) -> tuple[float, float]:
    """95 % interval of dislikes per 1,000 clicks, by the delta method."""
    ratio = dislikes.sum() / clicks.sum()
    half = 1.96 * float((dislikes - ratio * clicks).std(ddof=1)) / len(clicks) ** 0.5 / float(clicks.mean())
    return 1e3 * (float(ratio) - half), 1e3 * (float(ratio) + half)


def furthest_off(study: Study) -> tuple[str, float]:
    """The head whose mean prediction is furthest from the truth, among those with a weight, and the factor (>= 1)."""
    ratios = study.ratios
    weighed = [head for head, weight in zip(HEADS, study.weights, strict=True) if weight]
    head = max(weighed, key=lambda name: abs(np.log(ratios[name][0])))
    return head, float(np.exp(abs(np.log(ratios[head][0]))))


# --- figures ------------------------------------------------------------------------------------------------------------------------


def front_figure(study: Study) -> Figure:
    """Minutes against dislikes: random weightings, their front, the front of true heads, and this design."""
    few = study.audience.first(SLATES)
    mine = serve(few, study.mine.pages[:SLATES])
    cloud, truth = study.backdrop.chosen, study.backdrop.truth
    series = [
        Series("random weights", cloud.dislikes.tolist(), cloud.minutes.tolist(), "markers", 5),
        _front("best of them", cloud, 0),
        _front("front of true heads", truth, 0, truth=True),
        Series("by minutes alone", [cloud.dislikes[0]], [cloud.minutes[0]], "markers", 4),
        Series("by clicks alone", [cloud.dislikes[1]], [cloud.minutes[1]], "markers", 3),
        Series("this design", [mine.dislikes], [mine.mean("minutes")], "markers", 1),
    ]
    title = f"On {SLATES} slates {mine.mean('minutes'):.1f} minutes at {mine.dislikes:.0f} dislikes per 1,000 clicks"
    summary = (
        f"{title}; by minutes alone {cloud.minutes[0]:.1f} at {cloud.dislikes[0]:.0f}, by clicks alone {cloud.minutes[1]:.1f} at "
        f"{cloud.dislikes[1]:.0f}."
    )
    figure = line_figure("front", title, summary, series, Axis("Dislikes", PER_1000, "log"), Axis("Watched", "min a slate"))
    figure.plot["data"][0]["marker"] |= {"size": 5, "opacity": 0.6}
    figure.plot["data"][-1]["marker"] |= {"size": 14, "symbol": "diamond"}
    return figure


def _front(name: str, cloud: Cloud, colour: int, *, truth: bool = False) -> Series:
    best = cloud.front()
    return Series(name, cloud.dislikes[best].tolist(), cloud.minutes[best].tolist(), "lines", colour, truth=truth)


def slate_figure(study: Study) -> Figure:
    """The page of one viewer: what each head adds to each score, and the true score."""
    page = study.mine.pages[SAMPLE]
    points = study.heads.predicted[SAMPLE, page] * scales_of(study.params) * study.weights
    true = study.audience.truth[SAMPLE, page] @ study.weights
    topic, creator = study.audience.topic[SAMPLE, page], study.audience.creator[SAMPLE, page]
    names = [f"{place}. topic {t}, creator {c}" for place, (t, c) in enumerate(zip(topic, creator, strict=True), 1)]
    shown = [i for i, weight in enumerate(study.weights) if weight]
    series = [Series(HEAD_LABELS[HEADS[i]], names, points[:, i].tolist(), colour=i) for i in shown]
    total = points.sum(axis=1)
    title = f"One viewer's page: {len(set(topic.tolist()))} topics, scores from {total.max():.2f} to {total.min():.2f}"
    said = "; ".join(f"{name}: {score:.2f}, truly {t:.2f}" for name, score, t in zip(names, total, true, strict=True))
    points_axis = Axis("Score", "points")
    figure = bar_figure("slate", title, f"{said}.", series, Axis("Place"), points_axis, stacked=True, horizontal=True)
    marks = line_figure(
        "marks", "true score", "", [Series("true score", true.tolist(), names, "markers", truth=True)], points_axis, Axis("Place")
    )
    figure.plot["data"] += marks.plot["data"]
    figure.plot["layout"] |= {"barmode": "relative", "showlegend": True}
    figure.plot["layout"]["yaxis"] |= {"autorange": "reversed", "automargin": True}
    return figure


def diversity_figure(study: Study) -> Figure:
    """Worth of a page against its topics, for each strength of each kind of diversity."""
    few = study.audience.first(CURVE_SLATES)
    mine = serve(few, study.mine.pages[:CURVE_SLATES])
    at = (float(mine.topics.mean()), float(mine.values(study.weights).mean()))
    plain, ceiling = study.served["plain"], study.served["ceiling"]
    series = [
        Series(
            DIVERSITY_LABELS[method],
            [point.topics for point in study.curves[method]],
            [point.value for point in study.curves[method]],
            "lines+markers",
            colour,
            text=[
                f"{STRENGTHS[method]} {point.strength:g}: {point.value:.2f} points, {point.topics:.1f} topics"
                for point in study.curves[method]
            ],
        )
        for method, colour in zip(CURVES, (0, 2, 3), strict=True)
    ]
    series += [
        Series("by score alone", [float(plain.topics[:CURVE_SLATES].mean())], [study.value("plain", CURVE_SLATES)], "markers", 4),
        Series("this design", [at[0]], [at[1]], "markers", 1),
        Series("ceiling", [float(ceiling.topics[:CURVE_SLATES].mean())], [study.value("ceiling", CURVE_SLATES)], "markers", truth=True),
    ]
    title = _diversity_title(study, Point(0.0, *at))
    summary = f"{title}, on the first {CURVE_SLATES} slates; the ceiling is {study.value('ceiling', CURVE_SLATES):.2f} points."
    figure = line_figure("diversity", title, summary, series, Axis("Topics on a page", "of 10"), Axis("Worth of a page", "points"))
    figure.plot["data"][-2]["marker"] |= {"size": 14, "symbol": "diamond"}
    return figure


def _diversity_title(study: Study, mine: Point) -> str:
    topics, value = float(study.served["plain"].topics[:CURVE_SLATES].mean()), study.value("plain", CURVE_SLATES)
    if study.params.diversity == "none" and not study.params.explore_slots:
        light = study.curves["mmr"][LIGHT]
        return f"MMR at lambda {light.strength:g} would add {light.topics - topics:.1f} topics for {light.value - value:+.2f} points a page"
    return f"{mine.topics - topics:+.1f} topics a page for {mine.value - value:+.2f} points, against the ranking by score alone"


def calibration_figure(study: Study) -> Figure:
    """Predicted over true by head."""
    ratios = study.ratios
    names = [HEAD_LABELS[head] for head in HEADS]
    parts = [[ratios[head][i] for head in HEADS] for i in (0, 1)]
    series = [
        Series(name, names, values, colour=colour, text=[f"{value:.2f}" for value in values])
        for name, values, colour in zip(("all candidates", "the ten of highest score"), parts, (0, 4), strict=True)
    ]
    head, factor = furthest_off(study)
    title = f"The {HEAD_LABELS[head]} head is off by a factor of {factor:.2f}" if factor > 1.005 else "Every head is the truth"
    said = "; ".join(f"{name} {a:.2f} and {b:.2f}" for name, a, b in zip(names, *parts, strict=True))
    summary = f"Predicted over true, all candidates and the ten of highest score: {said}."
    figure = bar_figure("calibration", title, summary, series, Axis("Head"), Axis("Predicted / true, 1 is calibrated", "x"))
    return with_line(figure, label="", y=1.0)


# --- tables -------------------------------------------------------------------------------------------------------------------------


def designs_table(study: Study) -> Table:
    columns = (
        "Page",
        "Clicks (a slate)",
        "Watched (min a slate)",
        "Likes (a slate)",
        "Subscriptions (a slate)",
        "Dislikes (per 1,000 clicks)",
        "Under 30 s (% of clicks)",
        "Topics (of 10)",
        "Worth (points)",
    )
    return Table("designs", "Pages from the same slates", columns, tuple(_row(study, name) for name in NAMES))


def _row(study: Study, name: str) -> tuple[str | float, ...]:
    found: Served = study.served[name]
    brought = (found.mean(head) for head in ("click", "minutes", "like", "subscribe"))
    return NAMES[name], *brought, found.dislikes, 100 * found.abandonment, float(found.topics.mean()), study.value(name)


def heads_table(study: Study) -> Table:
    columns = ("Head", "Weight (points)", "Scale (x)", "Predicted / true (x)", "On the page (x)", "Share of the spread of scores (%)")
    ratios, scales = study.ratios, study.params.scales()
    rows = tuple(
        (HEAD_LABELS[head], float(study.weights[i]), scales[head], *ratios[head], 100 * study.spread[head]) for i, head in enumerate(HEADS)
    )
    return Table("heads", "What each head is worth in the score", columns, rows)

"""What the registry lab shows: metrics, figures and tables of duplicates, lineage and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulators.feature_store._registry_plan import Blast, Clean, Found, Verdict, detect, precision, recall, same
from simulators.feature_store._registry_world import GONE_TEAM, TEAMS, World
from simulators.figures import PALETTE, TRUTH, Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table

THRESHOLDS = (0.8, 0.84, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9975, 0.999, 1.0)
DETECTORS = {"name": "names", "fingerprint": "fingerprints", "values": "values", "both": "fingerprints and values"}
MOST_ROWS, MOST_PAYERS = 25, 12


# --- metrics -----------------------------------------------------------------------------------------------------------


def duplicate_metrics(world: World, found: Found) -> list[Metric]:
    right = precision(world, found.flagged)
    nothing = "" if right is not None else "Nothing was flagged."
    return [
        Metric("recall", "Planted copies found", recall(world, found.flagged), "share", "up", limit=1.0, limit_label="all 40"),
        Metric("precision", "Flagged pairs that are the same", right, "share", "up", limit=1.0, limit_label="no false pair", note=nothing),
        Metric("flagged", "Pairs flagged", len(found.flagged), "pairs"),
        Metric("reviews_used", "Pairs a person looked at", len(found.reviewed), "reviews", "down"),
    ]


def clean_metrics(world: World, clean: Clean) -> list[Metric]:
    before, after = total_usd(world), sum(clean.registry.cost().values())
    orphans = world.registry.orphans()
    return [
        Metric("cost_usd", "Price of all features", after, "$/month", "down", limit=before, limit_label="before"),
        Metric("saved_share", "Saved", 1 - after / before, "share", "up"),
        Metric("removed", "Features gone", len(clean.removed), "features"),
        Metric("wrong_merges", "Different features made one", clean.wrong_merges, "features", "down", limit=0.0, limit_label="none"),
        Metric("orphans", "Features no model gets anything from", len(orphans), "features", "down"),
        Metric("orphan_usd", "Their price", sum(map(world.registry.cost_of, orphans)), "$/month", "down"),
        Metric("owner_coverage", "Features whose owner still exists", _owned(world), "share", "up"),
        Metric("sla_coverage", "Features with a promised freshness", _promised(world), "share", "up"),
    ]


def change_metrics(clean: Clean, reach: Blast, verdict: Verdict) -> list[Metric]:
    broken, changed = {*clean.broken, *reach.broken}, {*clean.changed, *reach.changed}
    never = "Nothing is deprecated."
    return [
        Metric("blast_radius", "Models downstream of the change", len(reach.models), "models", "down"),
        Metric("models_broken", "Models broken", len(broken), "models", "down", limit=0.0, limit_label="none"),
        Metric("models_changed", "Models that silently read something else", len(changed), "models", "down", limit=0.0, limit_label="none"),
        Metric("removable_day", "Removed at the earliest on day", reach.removable_day, "days", "down", note=never),
        Metric("accepted", "Definition accepted", int(verdict.registration.accepted), "yes is 1", "up"),
    ]


def total_usd(world: World) -> float:
    return sum(world.registry.cost().values())


def _owned(world: World) -> float:
    owners = [view.owner for view in world.registry.views.values() for _ in view.features]
    return float(np.mean([owner in TEAMS for owner in owners]))


def _promised(world: World) -> float:
    return float(np.mean([view.sla_s is not None for view in world.registry.views.values() for _ in view.features]))


# --- figures -----------------------------------------------------------------------------------------------------------


def threshold_figure(world: World, threshold: float) -> Figure:
    """Precision and recall of values over the threshold, and of fingerprints, which have none."""
    at = [detect(world, "values", one) for one in THRESHOLDS]
    right, complete = [precision(world, pairs) for pairs in at], [recall(world, pairs) for pairs in at]
    prints = recall(world, detect(world, "fingerprint", 1.0))
    ends = [THRESHOLDS[0], THRESHOLDS[-1]]
    series = [
        Series("precision of values", THRESHOLDS, right, colour=0),
        Series("recall of values", THRESHOLDS, complete, colour=1),
        Series("recall of fingerprints, precision 100%", ends, [prints, prints], mode="lines", truth=True),
    ]
    series.append(Series("chosen", [threshold, threshold], [0, 1], mode="lines", colour=2))
    chosen = detect(world, "values", threshold)
    share = precision(world, chosen)
    what = (
        "nothing is flagged"
        if share is None
        else f"{recall(world, chosen):.0%} of the copies are found, {share:.0%} of the pairs are right"
    )
    summary = "; ".join(f"{one:g}: precision {p or 0:.0%}, recall {r:.0%}" for one, p, r in zip(THRESHOLDS, right, complete, strict=True))
    shares = Axis("Share", percent=True, range=(0, 1.05))
    axis = Axis("Rank correlation from", "Spearman's rho")
    return line_figure("thresholds", f"At {threshold:g}, {what}", summary, series, axis, shares)


def cost_figure(world: World, clean: Clean) -> Figure:
    before, after = world.registry.cost("team"), clean.registry.cost("team")
    teams = sorted(before, key=before.__getitem__, reverse=True)
    series = [
        Series("today", teams, [before[team] for team in teams], colour=0),
        Series("after cleaning up", teams, [after.get(team, 0.0) for team in teams], colour=2),
    ]
    saved = 1 - sum(after.values()) / sum(before.values())
    title = f"{teams[0].capitalize()} pays most, ${before[teams[0]]:,.0f} a month; cleaning up saves {saved:.0%} of all"
    summary = "; ".join(f"{team}: ${before[team]:,.0f}, then ${after.get(team, 0):,.0f}" for team in teams)
    return bar_figure("cost", title, summary, series, Axis("Team that reads"), Axis("Price, split by reads", "$/month"))


def lineage_figure(world: World, source: str, reach: Blast) -> Figure:
    """Source, its views, and the teams whose models read them; what the change reaches in colour, the rest grey."""
    registry = world.registry
    made = registry.impact(source)
    views, models = [node for node in made if node in registry.views], [node for node in made if node in world.moves_after_days]
    teams = sorted({registry.team_of(model) for model in models})
    places = {source: (0.0, 0.5)} | _column(_VIEWS_AT, views) | _column(_TEAMS_AT, teams)
    hit = {source, *reach.views} | {registry.team_of(model) for model in reach.models}
    lost = {registry.team_of(model) for model in (*reach.broken, *reach.changed)}
    edges = [(source, view) for view in views] + [(view, team) for view in views for team in teams if _reads(world, team, view)]
    plot = {
        "data": [
            *(
                _lines([edge for edge in edges if (set(edge) <= hit) is on], places, ink)
                for on, ink in ((False, TRUTH), (True, PALETTE[4]))
            ),
            *(_nodes(name, [n for n in places if _state(n, hit, lost) == name], places, _labels(world, reach), ink) for name, ink in _INKS),
        ],
        "layout": _lineage_layout(len(views), len(models)),
    }
    what = f"{reach.node} reaches {len(reach.views)} views and {len(reach.models)} models"
    price = f", {len(reach.broken)} of them break" if reach.broken else f", {len(reach.changed)} read other values" if reach.changed else ""
    return Figure("lineage", what + price, plot, f"Views: {', '.join(reach.views)}. Models: {', '.join(reach.models)}.")


_INKS = (("not reached", TRUTH), ("reached", PALETTE[4]), ("with models that break or change", PALETTE[1]))
_VIEWS_AT, _LABELS_END, _TEAMS_AT = 0.7, 1.6, 2.0  # lines leave a view right of its name


def _column(x: float, nodes: Sequence[str]) -> dict[str, tuple[float, float]]:
    return {node: (x, 1 - (at + 0.5) / len(nodes)) for at, node in enumerate(nodes)}


def _reads(world: World, team: str, view: str) -> bool:
    features = [f"{view}:{feature.name}" for feature in world.registry.views[view].features]
    return any(world.registry.team_of(model) == team for feature in features for model in world.registry.reads(feature))


def _state(node: str, hit: set[str], lost: set[str]) -> str:
    if node in lost:
        return _INKS[2][0]
    return _INKS[1][0] if node in hit else _INKS[0][0]


def _labels(world: World, reach: Blast) -> dict[str, str]:
    """Of a team how many of the models that are reached break or read something else."""
    labels = {}
    for team in TEAMS:
        models = [model for model in reach.models if world.registry.team_of(model) == team]
        lost = [model for model in models if model in reach.broken or model in reach.changed]
        labels[team] = f"{team}: {len(lost)} of {len(models)} models" if lost else f"{team}: {len(models)} models"
    return labels


def _lines(edges: list[tuple[str, str]], places: dict[str, tuple[float, float]], ink: str) -> dict[str, Any]:
    xs = [x for one, other in edges for x in (_LABELS_END if places[one][0] == _VIEWS_AT else places[one][0], places[other][0], None)]
    ys = [y for one, other in edges for y in (places[one][1], places[other][1], None)]
    line = {"color": ink, "width": 1}
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": line, "opacity": 0.6, "hoverinfo": "skip", "showlegend": False}


def _nodes(name: str, nodes: list[str], places: dict[str, tuple[float, float]], labels: Mapping[str, str], ink: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "mode": "markers+text",
        "x": [places[node][0] for node in nodes],
        "y": [places[node][1] for node in nodes],
        "text": [labels.get(node, node.removesuffix(" v1")) for node in nodes],
        "textposition": ["top center" if places[node][0] == 0 else "middle right" for node in nodes],
        "textfont": {"size": 10},
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": ink, "size": 8},
        "cliponaxis": False,
    }


def _lineage_layout(views: int, models: int) -> dict[str, Any]:
    bare = {"showgrid": False, "zeroline": False}
    ticks = {"tickvals": [0, _VIEWS_AT, _TEAMS_AT], "ticktext": ["source", f"{views} views", f"teams of {models} models"]}
    return {
        "xaxis": {
            "title": {"text": "Each made from what stands to its left (stage)"},
            "type": "linear",
            "range": [-0.45, 2.8],
            **bare,
            **ticks,
        },
        "yaxis": {"title": {"text": "By name (rank)"}, "type": "linear", "range": [0, 1], "showticklabels": False, **bare},
        "showlegend": True,
    }


# --- tables ------------------------------------------------------------------------------------------------------------


def verdict_table(world: World, verdict: Verdict) -> Table:
    registration = verdict.registration
    rows = [
        ("Registration", "accepted" if registration.accepted else "refused", " ".join(registration.errors) or "Nothing speaks against it.")
    ]
    rows.append(("Source", "known" if verdict.known_source else "new", "" if verdict.known_source else "Nobody feeds it yet."))
    for feature, others in verdict.same_features.items():
        said = f"Computes the same as {', '.join(others[:4])}" + (f" and {len(others) - 4} more." if len(others) > 4 else ".")
        rows.append((f"Feature {feature}", "a copy" if others else "new", said if others else "No published feature computes the same."))
    return Table("verdict", "Your definition", ("What", "Verdict", "Why"), tuple(rows))


def pairs_table(world: World, found: Found) -> Table:
    """The most doubtful pairs first, false ones before true ones of the same doubt."""
    reviewed = set(found.reviewed)
    order = sorted(found.flagged, key=lambda pair: (same(world, pair), world.correlations[pair]))
    rows = tuple(
        (
            world.names[one],
            world.names[other],
            float(world.correlations[one, other]),
            "same" if same(world, (one, other)) else "different",
            "reviewed" if (one, other) in reviewed else "merged unseen",
        )
        for one, other in order[:MOST_ROWS]
    )
    empty = (("none", "none", None, "", ""),)
    title = f"Flagged pairs, {min(len(order), MOST_ROWS)} of {len(order)}, wrong and doubtful ones first"
    return Table("pairs", title, ("Feature", "Taken for the same as", "Rank correlation", "Truth", "Decided"), rows or empty)


def reach_table(world: World, reach: Blast, *, made: bool) -> Table:
    """Each model downstream, over what it gets it, and what happens to it."""
    rows, spared = [], "has moved away in time" if made else "nothing: no change is made"
    for model in reach.models:
        over = [view for view in reach.views if model in world.registry.models_broken_by(view)]
        fate = "breaks" if model in reach.broken else "reads other values" if model in reach.changed else spared
        rows.append(
            (model, ", ".join(over[:3]) + (f" and {len(over) - 3} more" if len(over) > 3 else ""), world.moves_after_days[model], fate)
        )
    title = f"Models downstream of {reach.node}"
    return Table("reach", title, ("Model", "Over", "Needs to move away (days)", "What happens"), tuple(rows) or (("none", "", None, ""),))


def payers_table(world: World, clean: Clean) -> Table:
    before, after = world.registry.cost("model"), clean.registry.cost("model")
    order = sorted(before, key=before.__getitem__, reverse=True)[:MOST_PAYERS]
    rows = tuple((name, before[name], after.get(name, 0.0)) for name in order)
    return Table("payers", f"Who pays, the first {len(rows)}", ("Model", "Today ($/month)", "After cleaning up ($/month)"), rows)


def gone_team_features(world: World) -> int:
    return sum(len(view.features) for view in world.registry.views.values() if view.owner == GONE_TEAM)

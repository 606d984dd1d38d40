"""What a registry run's numbers say, one sentence for each effect it shows."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.feature_store._registry_params import RegistryParams
from simulators.feature_store._registry_plan import Blast, Clean, Found, Verdict, precision, recall
from simulators.feature_store._registry_views import DETECTORS, gone_team_features, total_usd
from simulators.feature_store._registry_world import World
from simulators.lab import Insight

_MISSED = {
    "name": "a name says what somebody called it",
    "fingerprint": "a rescaled or late copy has another definition",
    "values": "a late copy of a short window orders entities otherwise",
    "both": "what is late and short escapes both",
}


def insights(world: World, params: RegistryParams, found: Found, clean: Clean, reach: Blast, verdict: Verdict) -> Iterator[Insight]:
    yield _duplicates(world, params, found)
    yield from _merging(clean, found)
    yield from _orphans(world, params, clean)
    yield from _change(params, reach)
    yield _registration(verdict)
    yield _coverage(world)


def _duplicates(world: World, params: RegistryParams, found: Found) -> Insight:
    right, complete = precision(world, found.flagged), recall(world, found.flagged)
    how = f"{DETECTORS[params.detector]} at {params.threshold:g}" if params.detector in ("values", "both") else DETECTORS[params.detector]
    kinds = {entry.kind for entry in world.planted}
    if right is None:
        return Insight(f"By {how} nothing is found of {len(world.planted)} copies of {len(kinds)} kinds.", "deep_dive", "duplicates")
    missed = f": {_MISSED[params.detector]}" if complete < 1 else ""
    return Insight(
        f"By {how} {complete:.0%} of the {len(world.planted)} planted copies are found{missed}; {right:.0%} of "
        f"{len(found.flagged)} flagged pairs really are the same.",
        "deep_dive",
        "duplicates",
    )


def _merging(clean: Clean, found: Found) -> Iterator[Insight]:
    if clean.wrong_merges:
        yield Insight(
            f"{clean.wrong_merges} different features were merged away, and {len(clean.changed)} models now read something else "
            f"without being told: {len(found.reviewed)} of {len(found.flagged)} pairs were looked at.",
            "evaluation",
            "wrong_merges",
        )


def _orphans(world: World, params: RegistryParams, clean: Clean) -> Iterator[Insight]:
    unread, orphans = world.registry.unread(), world.registry.orphans()
    usd = sum(map(world.registry.cost_of, orphans))
    if params.orphans == "unread" and clean.broken:
        yield Insight(
            f"{len(unread)} features have no reader of their own, but {len(unread) - len(orphans)} of them feed others: removing them "
            f"breaks {len(clean.broken)} models, which lineage shows and a list of readers does not.",
            "architecture",
            "unread",
        )
        return
    yield Insight(
        f"{len(orphans)} features reach no model and cost ${usd:,.0f} a month, {usd / total_usd(world):.0%} of all.", "capacity", "orphans"
    )


def _change(params: RegistryParams, reach: Blast) -> Iterator[Insight]:
    if params.change == "redefine_in_place":
        yield Insight(
            f"Redefined in place, {reach.node} gives {len(reach.changed)} models other values and no error; as a new version it changes "
            f"none. The registry refuses: {reach.refusal}",
            "deep_dive",
            "redefinition",
        )
    elif params.change == "deprecate" and reach.removable_day is not None:
        held = len(reach.retirement.blocked_by) if reach.retirement else 0
        yield Insight(
            f"After {params.grace_days} days of notice {len(reach.broken)} of {len(reach.models)} readers still use {reach.node}; the "
            f"registry counts {held} that read it within 30 days and keeps it until day {reach.removable_day:.0f}.",
            "architecture",
            "deprecation",
        )
    elif params.change != "none":
        yield Insight(
            f"{reach.node} stands above {len(reach.models)} models; with {params.grace_days} days of notice {len(reach.broken)} of them "
            "have not moved away when it changes, and break.",
            "architecture",
            "blast_radius",
        )


def _registration(verdict: Verdict) -> Insight:
    registration = verdict.registration
    if not registration.accepted:
        return Insight(f"Your definition is refused. {registration.errors[0]}", "architecture", "refused")
    copies = [name for name, others in verdict.same_features.items() if others]
    if copies:
        other = verdict.same_features[copies[0]][0]
        return Insight(f"Your definition is accepted, though {copies[0]} computes the same as {other}.", "architecture", "copy")
    return Insight("Your definition is accepted: no published feature computes the same from the same source.", "architecture", "accepted")


def _coverage(world: World) -> Insight:
    without = sum(len(view.features) for view in world.registry.views.values() if view.sla_s is None)
    gone = gone_team_features(world)
    lost = f"{gone} features belong to a team that no longer exists" if gone else "every feature has a team that exists"
    return Insight(f"{lost[:1].upper()}{lost[1:]}; for {without} nobody promised how fresh they are.", "evaluation", "coverage")

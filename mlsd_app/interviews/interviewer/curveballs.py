"""Which events are thrown in, when, and what they do to a design. Pure; `throwing` does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsd_app.interviews.clock import Clock, ClockState
from mlsd_app.interviews.interviewer.facts import stream
from mlsd_app.interviews.interviewer.prompts import CLOSING_SHARE, phase_length_s
from problems.interview_schema import Curveball, Interviewer, LabChange, Patch
from simulators.lab import LabParams

PLAN_UNTIL = 0.90  # of the limit; thrown until 0.91, so that one that is a few seconds late still comes
EARLIEST = 0.1  # share of a phase
APART_S = 60.0


@dataclass(frozen=True)
class Planned:
    """Curveball `key` in phase number `phase`, at `share` of it: `at_s` of active time if everything goes by plan."""

    key: str
    phase: int
    share: float
    at_s: float


def plan(interviewer: Interviewer, phases: Sequence[Mapping[str, Any]], clock: Clock, seed: int) -> list[Planned]:
    """One in the deep dive and one in the last phase that has any, drawn by the seed."""
    dive = next((number for number, phase in enumerate(phases) if "deep_dive" in phase["tags"]), None)
    if dive is None:
        return []
    after = [_drawn(interviewer, phases, clock, seed, number) for number in range(len(phases) - 1, dive, -1)]
    planned = [_drawn(interviewer, phases, clock, seed, dive), next((found for found in after if found), None)]
    return [found for found in planned if found]


def _drawn(interviewer: Interviewer, phases: Sequence[Mapping[str, Any]], clock: Clock, seed: int, number: int) -> Planned | None:
    balls = [ball for ball in interviewer.curveballs if ball.tag in phases[number]["tags"]]
    balls = [ball for ball in balls if ball.change] or balls  # an event that changes a running lab says more than one that is argued
    begin, end = (0.0, *clock.phase_ends_s)[number], clock.phase_ends_s[number]
    latest = (PLAN_UNTIL * clock.limit_s - begin) / (end - begin) if end > begin else 0.0
    if not balls or latest < EARLIEST:
        return None
    ball = stream(seed, f"curveball:{phases[number]['key']}").choice(balls)
    share = min(stream(seed, f"curveball at:{ball.key}").uniform(*ball.at), latest)
    return Planned(ball.key, number, share, begin + share * (end - begin))


def due(planned: Iterable[Planned], state: ClockState, thrown: Mapping[str, float]) -> Planned | None:
    """The next planned event whose time has come; one whose phase was left early comes at its planned time all the same.

    thrown   {key: active seconds} of those before; never two within a minute
    """
    if state.state != "running" or state.phase_index is None:
        return None
    if state.active_s >= (1 - CLOSING_SHARE) * state.limit_s or any(state.active_s - at_s < APART_S for at_s in thrown.values()):
        return None
    return next((ball for ball in planned if ball.key not in thrown and _is_time(ball, state, state.phase_index)), None)


def _is_time(ball: Planned, state: ClockState, here: int) -> bool:
    if here == ball.phase:
        return state.phase_spent_s[here] >= ball.share * phase_length_s(state)
    return here > ball.phase and state.active_s >= ball.at_s


# --- what it does to a design ----------------------------------------------------------------------------------------


def patched(change: LabChange, values: Mapping[str, Any], defaults: LabParams) -> dict[str, Any]:
    """The parameters under the patch; the lab still has to accept them."""
    return {**values, **{patch.param: _changed(patch, values.get(patch.param, getattr(defaults, patch.param))) for patch in change.patch}}


def _changed(patch: Patch, old: Any) -> Any:
    if patch.set is not None:
        return list(patch.set) if isinstance(patch.set, tuple) else patch.set
    new = old * patch.mul if patch.mul is not None else old + (patch.add or 0.0)
    return round(new) if isinstance(old, int) else new


def locked_by(change: LabChange, params: Mapping[str, Any]) -> dict[str, Any]:
    """{parameter: value} that the event keeps from being turned back."""
    return {patch.param: params[patch.param] for patch in change.patch if patch.lock}


def within_s(ball: Curveball, clock: Clock, phase: int) -> float:
    """Seconds in which recovery earns full points."""
    return ball.within * clock.budgets_s[phase]


def honours(params: Mapping[str, Any], locked: Mapping[str, Any]) -> bool:
    """Whether a run was made under the event: every locked parameter has its value."""
    return all(name in params and params[name] == value for name, value in locked.items())

"""What the interviewer says unasked, and when: nudges, probes, the focus of the deep dive, the closing question. Pure.

Every prompt has a kind and a key and is said once; what was said already comes in as `Said`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlsd_app.interviews.clock import ClockState
from problems.interview_schema import Interviewer, InterviewProbe

NUDGE_S = 120.0  # before the end of a phase, for a person without extra time
NUDGE_SHARE = 0.4  # of a short phase at most
OVER = 1.5  # of a phase's time
CLOSING_SHARE = 0.09  # of the limit
PROBE_APART_S = 60.0
PROBE_OPEN_S = 120.0  # an unanswered probe does not hold back the next one for ever
PROBE_WAITS_S = 20.0  # for somebody who goes on typing
IDLE_S = 3.0

FIRST_QUESTIONS = {
    "clarify": "Who uses it, how much of it is there, and what counts as success?",
    "capacity": "Which numbers do you need, and which of them decides the design?",
    "architecture": "What happens between a request and its answer?",
    "deep_dive": "Which part is the hardest, and what would you choose there over what?",
    "infra": "Where is it trained, and how does a new version come to serve?",
    "eval": "How would you know that it works before anybody depends on it?",
    "monitoring": "What do you watch, and what would wake you at night?",
    "gotchas": "What goes wrong a month after the launch?",
    "more_time": "What would you look into with another hour?",
}
_STAGES = ("soon", "end", "over")


@dataclass(frozen=True)
class Prompt:
    """`kind` is the kind of the event it becomes; `data` goes with it."""

    kind: str
    key: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What was said before. Times in seconds of active time; `probe_answered`: something was done since the last probe."""

    keys: frozenset[tuple[str, str]] = frozenset()  # (kind, key)
    last_probe_s: float | None = None
    probe_answered: bool = True


@dataclass(frozen=True)
class Scene:
    """What the interviewer sees on looking up.

    phases         of the plan, with key, title and tags
    scale          this person's time over the planned time
    ends_s         active time at which each phase ends by plan
    deep_dive      key of the drawn focus
    typing_idle_s  since the last key; None: nobody can tell
    settled        whether a rubric item is earned already or its subject was asked for
    """

    interviewer: Interviewer
    phases: Sequence[Mapping[str, Any]]
    mode: str
    state: ClockState
    ends_s: Sequence[float]
    deep_dive: str = ""
    scale: float = 1.0
    said: Said = Said()
    typing_idle_s: float | None = None
    settled: Callable[[str], bool] = lambda item: False

    @property
    def here(self) -> int:
        return self.state.phase_index or 0

    @property
    def phase(self) -> Mapping[str, Any]:
        return self.phases[self.here]

    @property
    def spent_s(self) -> float:
        return self.state.phase_spent_s[self.here]

    @property
    def length_s(self) -> float:
        return phase_length_s(self.state)


def phase_length_s(state: ClockState) -> float:
    """Seconds that the phase one is in may take, from its first minute to its end."""
    here = state.phase_index or 0
    if state.phase_remaining_s is None:
        return state.phase_plan_s[here]
    return state.phase_spent_s[here] + state.phase_remaining_s


def due(scene: Scene) -> list[Prompt]:
    """What is to be said now; nothing unless the clock runs."""
    if scene.state.state != "running":
        return []
    found = [_focus(scene), _nudge(scene), _closing(scene), _probe(scene)]
    return [prompt for prompt in found if prompt and (prompt.kind, prompt.key) not in scene.said.keys]


def _focus(scene: Scene) -> Prompt | None:
    dive = next((dive for dive in scene.interviewer.deep_dives if dive.key == scene.deep_dive), None)
    return Prompt("focus", dive.key, dive.prompt) if dive and "deep_dive" in scene.phase["tags"] else None


def _nudge(scene: Scene) -> Prompt | None:
    """The furthest stage reached; one that was passed over is not made up for."""
    if (reached := _stage(scene)) is None:
        return None
    later = _STAGES[_STAGES.index(reached) :]
    if any(("nudge", f"{scene.phase['key']}:{stage}") in scene.said.keys for stage in later):
        return None
    return Prompt("nudge", f"{scene.phase['key']}:{reached}", _nudge_text(scene, reached), {"stage": reached})


def _stage(scene: Scene) -> str | None:
    left = scene.state.phase_remaining_s
    if left is None:
        return None
    if scene.mode != "strict" and scene.spent_s >= OVER * scene.length_s:
        return "over"
    if scene.mode != "strict" and left <= 0:
        return "end"
    return "soon" if left <= min(NUDGE_S * scene.scale, NUDGE_SHARE * scene.length_s) else None


def _nudge_text(scene: Scene, stage: str) -> str:
    title = scene.phase["title"]
    after = scene.phases[scene.here + 1] if scene.here + 1 < len(scene.phases) else None
    if stage == "soon":
        left = f"{_minutes(scene.state.phase_remaining_s or 0.0)} left for {title}."
        return f"{left} {after['title']} usually begins with: {_first_question(after)}" if after else left
    if stage == "end":
        used = f"The time planned for {title} is used up."
        return f"{used} Shall we go on? {_first_question(after)}" if after else used
    used = f"{title} has taken half as long again as planned."
    return f"{used} What you spend here is missing in {after['title']}." if after else used


def _first_question(phase: Mapping[str, Any]) -> str:
    return next((FIRST_QUESTIONS[tag] for tag in phase["tags"] if tag in FIRST_QUESTIONS), "What is the first thing to settle?")


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "Less than a minute is"
    return "About a minute is" if minutes == 1 else f"About {minutes} minutes are"


def _closing(scene: Scene) -> Prompt | None:
    """At 9 % of the limit left, or when the last phase begins, by plan or by the candidate's choice, if that is later."""
    state = scene.state
    begun = state.phase_spent_s[-1] > 0 or scene.here == len(scene.phases) - 1
    by_plan = len(scene.ends_s) < 2 or state.active_s >= scene.ends_s[-2]
    if state.active_s < (1 - CLOSING_SHARE) * state.limit_s or not (begun or by_plan):
        return None
    return Prompt("closing", "closing", scene.interviewer.closing)


# --- probes ----------------------------------------------------------------------------------------------------------


def _probe(scene: Scene) -> Prompt | None:
    """The first probe of the phase that is due, when nothing stands in its way; the rubric is asked last, it costs most."""
    if not _probes_allowed(scene):
        return None
    waiting = sorted((probe for probe in scene.interviewer.probes if _may_ask(scene, probe)), key=lambda probe: probe.elapsed)
    chosen = next((probe for probe in waiting if not (probe.missing and scene.settled(probe.missing))), None)
    return Prompt("probe", chosen.id, chosen.text) if chosen else None


def _probes_allowed(scene: Scene) -> bool:
    """At most one open, and a minute between two."""
    last = scene.said.last_probe_s
    if last is None:
        return True
    since = scene.state.active_s - last
    return since >= (PROBE_APART_S if scene.said.probe_answered else PROBE_OPEN_S)


def _may_ask(scene: Scene, probe: InterviewProbe) -> bool:
    if probe.tag not in scene.phase["tags"] or ("probe", probe.id) in scene.said.keys:
        return False
    overdue_s = scene.spent_s - probe.elapsed * scene.length_s
    if scene.said.last_probe_s is not None:
        overdue_s = min(overdue_s, scene.state.active_s - scene.said.last_probe_s - PROBE_APART_S)
    idle = scene.typing_idle_s is not None and scene.typing_idle_s >= IDLE_S
    return overdue_s >= (0.0 if idle else PROBE_WAITS_S)

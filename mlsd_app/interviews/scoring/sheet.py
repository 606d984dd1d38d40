"""What graders see of an attempt: plain data, so that a rule can be read and tested without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from mlsd_app.interviews.scoring import words
from mlsd_app.interviews.scoring.sentences import Credit, Sentence, counted, credited
from problems.calculators import Calculator
from problems.interview_schema import DeepDive, HiddenFact, Interviewer, Rubric

Row = Mapping[str, Any]  # a row of a structured list with its "key"
PROSE = {  # cells of rows that may hold sentences
    "components": ("why",),
    "tradeoffs": ("because", "cost"),
    "alarms": ("action",),
    "gotchas": ("mechanism", "mitigation"),
    "more_time": ("why",),
}
QUOTED = 300  # characters of a quote


@dataclass(frozen=True)
class Told:
    """A fact the interviewer gave: asked for, or when constraints were read back."""

    fact: str
    how: Literal["asked", "confirmed", "corrected"]
    active_ms: int
    text: str
    ref: str  # "event/<seq>"


@dataclass(frozen=True)
class RunRecord:
    """A finished run of a lab inside the attempt. `metrics` as stored: [{"key", "label", "value", "unit", "ci", "measured", ...}]."""

    number: int
    lab: str
    params: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    active_ms: int
    pinned: bool = False
    label: str = ""
    predicted: bool = False

    @property
    def values(self) -> dict[str, float | None]:
        """What a condition may name: metrics, and the parameters that are numbers."""
        numbers = {key: float(value) for key, value in self.params.items() if isinstance(value, int | float)}
        return {**numbers, **{metric["key"]: metric["value"] for metric in self.metrics}}


@dataclass(frozen=True)
class Thrown:
    """A curveball as it went. `lab` "": argued, not run. Times in ms of active time; `within_ms` earns full points."""

    key: str
    text: str
    lab: str
    state: Literal["active", "recovered", "missed"]
    active_ms: int
    within_ms: float
    recovered_ms: int | None = None
    recovery_run: int | None = None
    runs_used: int = 0


@dataclass(frozen=True)
class Sheet:
    """One attempt as it stood at the close.

    texts     {phase key: Markdown}, in the order of the plan
    phase_of  {topic: key of the phase that holds it}
    rows      {list: rows in order}
    saved_ms  {field: active ms of its first and last save}
    end_ms    active time at the close
    source    five-word runs of all that could have been copied: prompts, the interviewer's text, the walkthrough, the rubric
    """

    interviewer: Interviewer
    rubric: Rubric
    values: Mapping[str, float] = field(default_factory=dict)
    deep_dive: DeepDive | None = None
    calculators: Mapping[str, Calculator] = field(default_factory=dict)
    has_labs: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    phase_of: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    saved_ms: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    told: Sequence[Told] = ()
    runs: Sequence[RunRecord] = ()
    curveballs: Sequence[Thrown] = ()
    claim_verdicts: Sequence[str] = ()
    end_ms: int = 0
    source: frozenset[str] = frozenset()

    def list_rows(self, name: str) -> Sequence[Row]:
        return self.rows.get(name, ())

    def fact(self, key: str) -> HiddenFact | None:
        return next((fact for fact in self.interviewer.facts if fact.id == key), None)

    @cached_property
    def drawn_ms(self) -> int | None:
        """When the first component or trade-off was written; None: never."""
        times = [span[0] for name, span in self.saved_ms.items() if name.startswith(("row/components/", "row/tradeoffs/"))]
        return min(times, default=None)

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """What `mention` items look for, in the rubric's order."""
        return tuple(dict.fromkeys(need for item in self.rubric.items if item.grade == "mention" for need in item.needs))

    @cached_property
    def terms(self) -> frozenset[str]:
        """Words of the trade that make a list when nothing else stands between them."""
        traded = [need for item in self.rubric.items if item.grade == "tradeoff" for need in item.needs]
        focus = [concept for dive in self.interviewer.deep_dives for concept in (*dive.focus, *dive.outside)]
        return words.lexicon([*self.concepts, *traded, *focus])

    @cached_property
    def sentences(self) -> list[Sentence]:
        return counted(self._prose(), self.terms, self.source)

    @cached_property
    def credits(self) -> dict[str, Credit]:
        return credited(self.sentences, self.concepts)

    def _prose(self) -> dict[str, str]:
        """{field: text} of everything that may hold sentences; cells of one row are told apart by a line."""
        prose = {f"text/{phase}": text for phase, text in self.texts.items()}
        for name, cells in PROSE.items():
            for row in self.list_rows(name):
                prose[f"row/{name}/{row['key']}"] = "\n\n".join(str(row.get(cell) or "") for cell in cells)
        return prose

    # --- evidence ----------------------------------------------------------------------------------------------------

    def quote(self, sentence: Sentence) -> dict[str, Any]:
        saved_ms = self.saved_ms.get(sentence.ref, (0, 0))[1]
        return {"kind": "quote", "ref": sentence.ref, "text": sentence.text[:QUOTED], "active_ms": saved_ms}

    def row_evidence(self, name: str, row: Row, text: str) -> dict[str, Any]:
        ref = f"row/{name}/{row['key']}"
        return {"kind": "row", "ref": ref, "text": text[:QUOTED], "active_ms": self.saved_ms.get(ref, (0, 0))[0]}


def run_evidence(run: RunRecord, text: str = "") -> dict[str, Any]:
    said = text or run.label or f"run {run.number} of {run.lab}"
    return {"kind": "run", "ref": f"run/{run.number}", "text": said[:QUOTED], "active_ms": run.active_ms}

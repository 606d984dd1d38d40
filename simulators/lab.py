"""The contract between a lab and whoever runs it.

A lab is a class that declares parameters and yields what it finds while it works. The manner is simpy's: a process is a
generator whose `return` value is its result. The driver (`simulators.driver`) pulls the generator, may close it between two
yields, and so cancels a run without threads or signals.

    class Coin(Lab):
        '''How many flips until the share of heads settles?'''
        class Params(LabParams):
            flips: int = param(100, title="Flips", unit="flips", ge=1, le=10_000, scale="log", group="world", help="...")
        def run(self, params, ctx):
            ...
            yield Progress(i, params.flips, "flipping")
            return Result(metrics=[Metric("heads", "Share of heads", 0.5, unit="share", better=None)])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, cast

import numpy as np
from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field

Better = Literal["up", "down"] | None
Scale = Literal["linear", "log"]
FigureDict = dict[str, Any]
T = TypeVar("T")
Percent = Annotated[float, Ge(0), Le(100)]  # of a list: `tuple[Percent, ...]` is a line of comma-separated numbers


# --- parameters ------------------------------------------------------------------------------------------------------


class LabParams(BaseModel):
    """Base of every lab's `Params`: frozen, no unknown keys, every field made with `param`.

    Rules over several fields go into an ordinary pydantic `model_validator` that raises ValueError with a sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def param(
    default: Any,
    *,
    title: str,
    help: str,
    unit: str = "",
    group: str = "",
    ge: float | None = None,
    le: float | None = None,
    soft: tuple[float, float] | None = None,
    step: float | None = None,
    scale: Scale = "linear",
    shown_when: Mapping[str, Sequence[Any]] | None = None,
    labels: Mapping[str, str] | None = None,
    max_items: int | None = None,
    lines: int = 1,
) -> Any:
    """One slider, switch or choice.

    default     value of the field, also what the page opens with
    unit        what a number counts ("vectors", "ms", "share"); "" for a choice
    ge, le      hard bounds: outside them the value is refused; every number has both. Numbers of a list carry theirs in the type:
                tuple[Percent, ...], tuple[Annotated[int, Ge(1), Le(9)], ...]
    soft        what the slider shows, inside the hard bounds; typed values may go beyond
    step        grid of the slider on a linear scale (integers default to 1)
    scale       "log" spaces the slider by ratio; `ge` must then be above 0
    group       heading under which the control stands
    shown_when  {"kind": ["hnsw"]}: shown only while each named field holds (or, for a multi-select, contains) one of these
    labels      {value: words} for a choice
    max_items   how many of a multi-select (a tuple of Literal) may be chosen, how many numbers a list or characters a text may have
    lines       height of the box of a text; above 1 it may hold line breaks
    """
    extra = {
        "unit": unit,
        "group": group,
        "soft": soft,
        "step": step,
        "scale": scale,
        "shown_when": {name: list(values) for name, values in (shown_when or {}).items()},
        "labels": dict(labels or {}),
        "lines": lines,
    }
    return Field(default, title=title, description=help, ge=ge, le=le, max_length=max_items, json_schema_extra={"lab": cast(Any, extra)})


# --- what a lab says while it works, and at the end ------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """One number with its meaning.

    `value` None: undefined for these parameters, `note` says why. `ci` is an interval in the same unit. `measured` marks
    wall-clock or memory readings, which the same seed does not repeat. `limit` is the oracle or physical bound, named by
    `limit_label`. `series` names the design where a run compares several ("HNSW", "IVF-SQ8"); the key is then the quantity, "@" and the
    design, "recall@hnsw", so that a map over runs finds the same quantity of every design. Keys are unique in a Result.
    """

    key: str
    label: str
    value: float | None
    unit: str
    better: Better = None
    ci: tuple[float, float] | None = None
    measured: bool = False
    limit: float | None = None
    limit_label: str = ""
    series: str = ""
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart as a plain Plotly dict (`simulators.figures` builds them), with the sentence a screen reader gets."""

    key: str
    title: str  # the takeaway in one line
    plot: FigureDict  # {"data": [...], "layout": {...}}; every axis has a title with its unit
    summary: str  # what the chart shows, in words


@dataclass(frozen=True)
class Table:
    key: str
    title: str
    columns: tuple[str, ...]  # heading with unit: "Build time (s)"
    rows: tuple[tuple[str | float | int | None, ...], ...]


@dataclass(frozen=True)
class Insight:
    """What moved and why, in one sentence. `phase` is the walkthrough phase that says more; `effect` the spec's effect it shows."""

    text: str
    phase: Literal["clarify", "capacity", "architecture", "deep_dive", "evaluation"] | None = None
    effect: str = ""


@dataclass(frozen=True)
class Progress:
    done: float
    total: float
    label: str


@dataclass(frozen=True)
class Frame:
    """A partial picture: replaces the figures and metrics of the same key that are on the page."""

    metrics: Sequence[Metric] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Result:
    metrics: Sequence[Metric]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    insights: Sequence[Insight] = ()
    notes: Sequence[str] = ()  # caveats the user must read: what was left out, what the data could not tell


Working = Generator[Progress | Frame, None, T]  # says how far it is while it works on a T
Steps = Working[Result]


# --- the user's own data ---------------------------------------------------------------------------------------------


class DataFile(NamedTuple):
    """A file the user gave: `name` as the user knows it, for messages; `path` where its bytes are."""

    name: str
    path: Path


class DataSlot(NamedTuple):
    """One file a lab takes: its name in the form, what it is, and whether a data set can do without it."""

    key: str
    title: str
    help: str
    formats: tuple[str, ...]  # suffixes, lower case: (".npy", ".fvecs")
    required: bool = True
    max_bytes: int = 512 * 2**20


class DataOption(NamedTuple):
    """A choice that belongs to the data, not to the run: the metric of a vector file, the role of a column."""

    key: str
    title: str
    help: str
    choices: tuple[str, ...] = ()  # empty: free text (a column name), at most 200 characters
    required: bool = False
    default: str = ""
    columns_of: str = ""  # key of the slot whose columns are the choices
    many: bool = False  # several values, comma separated


class DataInfo(NamedTuple):
    """What `DataSpec.check` found: shown to the user before the first run. `facts` in reading order."""

    facts: tuple[tuple[str, str], ...]  # ("Base vectors", "20 000 x 64 float32")
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSpec:
    """What a lab accepts instead of its synthetic world.

    `check(files, options)` reads the files once, raises InvalidInput with file, line or row, column, what was given and what is
    expected, and never unpickles or executes anything. It is called before anything is stored.
    `columns(file)` lists the column names of a tabular file so that the page can offer a mapping; None where that makes no sense.
    """

    title: str
    help: str
    slots: tuple[DataSlot, ...]
    check: Callable[[Mapping[str, DataFile], Mapping[str, str]], DataInfo]
    options: tuple[DataOption, ...] = ()
    columns: Callable[[DataFile], tuple[str, ...]] | None = None
    example: str = ""  # a few lines of a good file, shown on the page


@dataclass(frozen=True)
class Data:
    """A checked data set as a run receives it; `digest` identifies bytes and options."""

    digest: str
    files: Mapping[str, DataFile]
    options: Mapping[str, str] = field(default_factory=dict)


# --- the context a run gets ------------------------------------------------------------------------------------------


class KeySpace(NamedTuple):
    """A part of a real key-value server that belongs to one run.

    client  speaks redis-py's commands and answers in bytes: get, mget, set, hset, hmget, pipeline, expire, memory_usage, ...
    prefix  starts every key the run writes; what is left under it when the run ends is deleted
    keep_s  the time to live every key is to get, so that nothing stays when a worker dies
    errors  what the client raises when the server stops answering, for a lab that can go on without it
    """

    client: Any
    prefix: str
    keep_s: int = 600
    errors: tuple[type[Exception], ...] = ()


class Context:
    """What a run may use of its surroundings: a seed, a cache of slow things, the user's data, a key-value server."""

    def __init__(
        self,
        *,
        seed: int,
        assets: AssetStore,
        data: Data | None = None,
        key_space: Callable[[], AbstractContextManager[KeySpace | None]] = nullcontext,
    ) -> None:
        self.seed = seed
        self.data = data
        self._assets = assets
        self._key_space = key_space

    def key_space(self) -> AbstractContextManager[KeySpace | None]:
        """Keys of this run's own on the server the site runs on; None where there is none or it does not answer.

        with ctx.key_space() as space: ...
        """
        return self._key_space()

    def rng(self, purpose: str) -> np.random.Generator:
        """An independent stream a purpose: moving one knob leaves the draws of the others alone."""
        key = [int.from_bytes(purpose.encode()[i : i + 4], "little") for i in range(0, len(purpose.encode()), 4)]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    def asset(self, key: str, build: Callable[[], T], *, disk: bool = True) -> T:
        """What is slow to make (a corpus, an index, a model), made once.

        key    names everything the value depends on, seed included: "world/n=20000/d=64/seed=7"
        build  makes it; called at most once over all workers of a host while the cache holds it
        disk   also keep it on disk, pickled by protocol 5 (values we made ourselves, never user input)
        The value is shared: treat it as read-only.
        """
        return self._assets.get(key, build, disk=disk)

    def asset_steps(self, key: str, build: Callable[[], Working[T]], *, disk: bool = True) -> Working[T]:
        """`asset` for what takes longer than a lab may stay silent: `build` yields while it works and returns the value.

            index = yield from ctx.asset_steps("index/...", lambda: build_slowly(...))

        Closed half-way it keeps nothing, and the next one who asks builds.
        """
        return (yield from self._assets.steps(key, build, disk=disk))


class AssetStore:
    """Interface of the cache behind `Context.asset`; see `simulators.assets` for the one in use."""

    def get(self, key: str, build: Callable[[], T], *, disk: bool = True) -> T:
        raise NotImplementedError

    def steps(self, key: str, build: Callable[[], Working[T]], *, disk: bool = True) -> Working[T]:
        raise NotImplementedError


# --- the lab ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preset:
    """A named parameter set that tells a story; `values` are the fields that differ from the defaults."""

    key: str
    title: str
    story: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Assertion:
    """One thing a design must hold. `metric` is a quantity: a metric's key up to the "@"."""

    metric: str
    op: Literal["<=", ">="]
    target: float
    unit: str
    kind: Literal["target", "ceiling", "safety"]  # a ceiling is what makes "everything at maximum" fail; a safety holds on every seed
    over: Literal["mean", "all"] = "mean"  # over seeds
    reference_value: float | None = None  # of a measured metric: the reference design's, on the machine the target was set on
    label: str = ""


@dataclass(frozen=True)
class Challenge:
    """An open design task. `world` is fixed by the brief, `design` names what the learner sets; designs list only those fields."""

    slug: str
    title: str
    brief: str  # Markdown: who, traffic, quality floor, ceiling, what is fixed
    world: Mapping[str, Any]
    design: tuple[str, ...]
    assertions: tuple[Assertion, ...]  # two to six, at least one ceiling
    reference: Mapping[str, Any]  # passes
    alternative: Mapping[str, Any]  # passes too and differs in kind
    naive: Mapping[str, Any]  # misses a target
    maxed: Mapping[str, Any]  # breaks a ceiling
    variations: tuple[Mapping[str, Any], ...] = ()  # hidden workloads, one drawn a seed
    debrief: str = ""  # shown after a pass


class Lab:
    """Base of every lab. The docstring's first line is the question the user finds out about; the rest is "how it works"."""

    slug: ClassVar[str]  # set by the registry: module name
    problem: ClassVar[str]  # set by the registry: package name

    title: ClassVar[str]
    why: ClassVar[str]  # why an interviewer asks: the trade-off or second-order effect
    version: ClassVar[int] = 1  # raise it when the same parameters mean another result
    exclusive: ClassVar[bool] = False  # True: measures wall-clock time, runs alone on its queue
    phase: ClassVar[str] = "deep_dive"  # where in the walkthrough the lab stands
    Params: ClassVar[type[LabParams]]
    presets: ClassVar[tuple[Preset, ...]] = ()
    challenges: ClassVar[tuple[Challenge, ...]] = ()
    data: ClassVar[DataSpec | None] = None
    engines: ClassVar[tuple[str, ...]] = ()  # modules whose docstrings explain the machinery ("simulators.engines.ann.index")
    sources: ClassVar[tuple[str, ...]] = ()  # "Malkov & Yashunin 2018, arXiv 1603.09320"
    map_axes: ClassVar[tuple[str, str] | None] = None  # quantities the trade-off map opens with (x, y): keys up to the "@"

    @classmethod
    def warm_up(cls) -> None:
        """Called once when a worker starts: compile or load here what would make somebody's first run slow."""

    def run(self, params: Any, ctx: Context) -> Steps:
        """Yield Progress or Frame every 15 to 50 ms of work and return the Result.

        Closing the generator half-way must leak nothing (use try/finally or context managers for what is held).
        """
        raise NotImplementedError


# --- checks that hold for everything a lab emits -----------------------------------------------------------------------


def finite(value: float | None, what: str) -> float | None:
    """`value` as a float, or ValueError: no NaN and no infinity leaves a lab."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value}; a lab reports None with a note where a number is undefined")
    return float(value)

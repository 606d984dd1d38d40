"""Parameters of the lab `multitask`."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from pydantic import model_validator

from simulators.lab import LabParams, param

Kind = Literal["single", "shared_bottom", "mmoe", "ple"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LABELS: dict[str, str] = {"single": "a net a task", "shared_bottom": "shared bottom", "mmoe": "MMoE", "ple": "PLE"}
GATED: tuple[Kind, ...] = ("mmoe", "ple")

Sweep = Literal["off", "ends", "five"]
SWEPT: dict[Sweep, tuple[float, ...]] = {"off": (), "ends": (0.0, 1.0), "five": (-1.0, -0.5, 0.0, 0.5, 1.0)}

FEATURES, TASKS, SECOND_LAYER, TOWER = 16, 2, 8, 8  # of the synthetic world and of every net
EXCESS = "10⁻³ nats"  # unit of the excess log loss
MOST_WORK = 4e10  # weights x rows x passes, about half a minute on one core


class Design(NamedTuple):
    """One net and how it is trained."""

    kind: Kind
    experts: int
    expert_width: int
    normalise_rare: bool
    epochs: int

    @property
    def n_params(self) -> int:
        """On the synthetic world."""
        experts = {"single": TASKS, "shared_bottom": 1}.get(self.kind, self.experts)
        gates = TASKS * (FEATURES + 1) * experts if self.kind in GATED else 0
        expert = (FEATURES + 1) * self.expert_width + (self.expert_width + 1) * SECOND_LAYER
        return experts * expert + gates + TASKS * ((SECOND_LAYER + 1) * TOWER + TOWER + 1)


class MultitaskParams(LabParams):
    rho: float = param(
        0.0,
        title="Task similarity",
        ge=-1,
        le=1,
        step=0.05,
        group="world",
        help="Cosine between what task B depends on and what task A depends on. 1: the same, 0: nothing in common, -1: the opposite.",
    )
    label_rate: float = param(
        0.15,
        title="Rows with task B labelled",
        unit="share",
        ge=0.01,
        le=1,
        scale="log",
        group="world",
        help="Task A is labelled on every row, as clicks are; task B on this share, as surveys and subscriptions are.",
    )
    kinds: tuple[Kind, ...] = param(
        KINDS,
        title="Nets compared",
        group="model",
        labels=LABELS,
        max_items=4,
        help="A net for each task; one shared bottom; experts mixed by a gate a task (MMoE); one expert private to each task (PLE).",
    )
    experts: int = param(
        8,
        title="Experts",
        unit="experts",
        ge=2,
        le=64,
        scale="log",
        group="model",
        shown_when={"kinds": GATED},
        help="Of MMoE and PLE. PLE gives one to each task and shares the rest.",
    )
    expert_width: int = param(
        12,
        title="Width of an expert",
        unit="units",
        ge=4,
        le=64,
        scale="log",
        group="model",
        help="First layer of an expert, of the shared bottom, and of a task's own net; their second layer has 8.",
    )
    normalise_rare: bool = param(
        True,
        title="Divide a loss by its labels",
        group="model",
        help="Each task's loss is averaged over its own labelled rows. Off: over all rows, and a rare task hardly counts.",
    )
    epochs: int = param(10, title="Passes", unit="passes", ge=1, le=30, scale="log", group="training", help="Over the training rows.")
    rows: int = param(
        40_000, title="Training rows", unit="rows", ge=5_000, le=200_000, scale="log", group="training", help="Of the synthetic world."
    )
    repeats: int = param(
        1,
        title="Trainings of each net",
        unit="trainings",
        ge=1,
        le=5,
        group="training",
        help="From other first weights and in another order of rows. With two or more, figures are means and a difference can be judged.",
    )
    sweep: Sweep = param(
        "off",
        title="Similarities tried besides",
        group="training",
        labels={"off": "none", "ends": "strangers and twins (0 and 1)", "five": "five, from -1 to 1"},
        help="Trains every net again at these similarities: half a second to a second for each net and similarity.",
    )

    @model_validator(mode="after")
    def _bounded(self) -> MultitaskParams:
        if not self.kinds:
            raise ValueError("Nets compared: none was chosen; expected at least one.")
        work = len(self.rhos) * self.repeats * self.rows * self.epochs * sum(self.design(kind).n_params for kind in self.kinds)
        if work > MOST_WORK:
            raise ValueError(
                f"This asks for {work / 1e9:,.0f} billion weight updates by row; expected at most {MOST_WORK / 1e9:,.0f}: "
                "take fewer rows, passes, experts or similarities."
            )
        return self

    @property
    def rhos(self) -> tuple[float, ...]:
        """Every similarity that is trained, the chosen one first."""
        return tuple(dict.fromkeys((self.rho, *SWEPT[self.sweep])))

    def design(self, kind: Kind) -> Design:
        """What does not apply to a kind is set to one value, so that nets that do not differ are trained once."""
        return Design(kind, self.experts if kind in GATED else 0, self.expert_width, self.normalise_rare, self.epochs)

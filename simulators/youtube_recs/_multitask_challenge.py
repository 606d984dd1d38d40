"""The design task of the lab `multitask`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge
from simulators.youtube_recs._multitask_params import EXCESS

ONE_NET = Challenge(
    slug="one_net_for_twins_and_strangers",
    title="One net for twins and strangers",
    brief=(
        "A feed predicts clicks (task A, known for every impression) and answers to a survey (task B, known for 15 %). Whether the two "
        "have anything in common differs from market to market, and **one architecture has to serve all of them**.\n\n"
        "Deliver one net whose excess log loss on task B is at most 100 where the tasks are strangers (similarity 0) and at most 75 where "
        "they are twins (similarity 1), as a mean over seeds, with at most 3,000 parameters. Training is fixed: 40,000 rows, 10 passes. "
        "You choose the kind of net (one), the number and width of its experts, and whether a loss is divided by its labels."
    ),
    world={"rho": 0.0, "label_rate": 0.15, "rows": 40_000, "epochs": 10, "repeats": 1, "sweep": "ends"},
    design=("kinds", "experts", "expert_width", "normalise_rare"),
    assertions=(
        Assertion("xll_b_apart", "<=", 100.0, EXCESS, "target", label="Excess log loss of task B, strangers"),
        Assertion("xll_b_same", "<=", 75.0, EXCESS, "target", label="Excess log loss of task B, twins"),
        Assertion("params", "<=", 3_000.0, "weights", "ceiling", label="Parameters"),
    ),
    reference={"kinds": ("mmoe",), "experts": 8},
    alternative={"kinds": ("ple",), "experts": 6},
    naive={"kinds": ("shared_bottom",)},
    maxed={"kinds": ("mmoe",), "experts": 32},
    debrief=(
        "A net of its own for task B passes among strangers and throws away what twins could teach it. One shared bottom is the best there "
        "is for twins and the worst for strangers, where the layers serve task A, which has seven times the labels. Gates let the rare "
        "task take what helps: eight experts of MMoE (2,898 parameters), or two private and four shared ones of PLE (2,214). PLE with two "
        "shared ones (1,530) passes by a hair. Thirty-two experts cost 11,106 parameters and overfit the few labels of task B."
    ),
)

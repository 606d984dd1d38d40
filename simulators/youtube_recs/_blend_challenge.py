"""The design task of the lab `objective_blend`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

ONE_WEIGHT = {"w_click": 0.0, "w_minutes": 0.0, "w_like": 0.0, "w_comment": 0.0, "w_subscribe": 0.0, "w_dislike": 0.0}

SATISFIED = Challenge(
    slug="minutes_without_regret",
    title="Minutes without regret",
    brief=(
        "A home page shows ten of 60 candidates. A quarter of them is bait, one in seven lives on rage, and viewers tire of likeness "
        "(satiation 0.3). Choose weights, heads and re-ranking so that a slate brings\n\n"
        "* at least **17.3 minutes** and **0.148 subscriptions**,\n"
        "* at most **30 dislikes per 1,000 clicks**,\n"
        "* at least **5.6 topics** of ten.\n\n"
        "The ranker may spend **12,000 multiply-adds a candidate**, and at most **1 place of ten** may go to exploration. Heads are "
        "learned from 60,000 impressions."
    ),
    world={"heads": "learned", "gamma": 0.3, "bait_share": 0.25, "focus": 0.0, "likeness": 0.5},
    design=(
        "w_click",
        "w_minutes",
        "w_like",
        "w_comment",
        "w_subscribe",
        "w_dislike",
        "watch_loss",
        "experts",
        "diversity",
        "lam",
        "theta",
        "cap",
        "explore_slots",
    ),
    assertions=(
        Assertion("minutes", ">=", 17.3, "min a slate", "target", label="Minutes watched"),
        Assertion("dislikes", "<=", 30.0, "per 1,000 clicks", "target", label="Dislikes"),
        Assertion("subscriptions", ">=", 0.148, "a slate", "target", label="Subscriptions"),
        Assertion("topics", ">=", 5.6, "of 10", "target", label="Topics on a page"),
        Assertion("macs", "<=", 12_000.0, "multiply-adds", "ceiling", label="Ranker's work a candidate"),
        Assertion("explore_slots", "<=", 1.0, "of 10", "ceiling", label="Exploration slots"),
    ),
    reference={"diversity": "mmr", "lam": 0.9},
    alternative={"diversity": "dpp", "theta": 0.95},
    naive={**ONE_WEIGHT, "w_click": 1.0},
    maxed={"diversity": "mmr", "lam": 0.9, "experts": 32, "explore_slots": 5},
    debrief=(
        "Minutes alone reach the minutes and double the dislikes; likes and subscriptions are what separates a good video from one that "
        "enrages, and a small penalty on dislikes does the rest. The score alone gathers five topics; a light hand (lambda 0.9, theta "
        "0.95) adds one for two or three per cent of the minutes. A cap on creators hardly moves topics, for a topic has several creators. "
        "More experts cost work and learn nothing that 60,000 impressions can teach."
    ),
)

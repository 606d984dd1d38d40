"""The design task of the lab `registry`."""

from __future__ import annotations

from simulators.feature_store._registry_params import EXAMPLE
from simulators.lab import Assertion, Challenge

TIDY_UP = Challenge(
    slug="fifteen_percent_without_a_casualty",
    title="Fifteen percent without a casualty",
    brief=(
        "The company keeps **200 features** for 30 models of 6 teams. Forty are copies of others: renamed, in another unit of time, on "
        "another scale, or an hour late. Some are read by nobody.\n\n"
        "* Cut the monthly price by at least **15 %**.\n"
        "* Break **0** models, and make **0** different features one.\n"
        "* People have time for at most **10** reviews.\n\n"
        "You choose how duplicates are found, how many pairs are reviewed, and what happens to features nobody reads."
    ),
    world={"change": "none", "source": "ad_clicks", "grace_days": 30, "definition": EXAMPLE, "reason": ""},
    design=("detector", "threshold", "reviews", "orphans"),
    assertions=(
        Assertion("saved_share", ">=", 0.15, "share", "target", label="Price saved"),
        Assertion("models_broken", "<=", 0.0, "models", "safety", over="all", label="Models broken"),
        Assertion("wrong_merges", "<=", 0.0, "features", "safety", over="all", label="Different features made one"),
        Assertion("reviews_used", "<=", 10.0, "reviews", "ceiling", label="Reviews"),
    ),
    reference={"detector": "both", "threshold": 0.995, "reviews": 10, "orphans": "keep"},
    alternative={"detector": "fingerprint", "reviews": 0, "orphans": "lineage"},
    naive={"detector": "fingerprint", "reviews": 10, "orphans": "keep"},
    maxed={"detector": "both", "threshold": 0.95, "reviews": 100, "orphans": "lineage"},
    debrief=(
        "Fingerprints are certain and find half: what is renamed or in another unit. Values find what was rescaled, and most of what is "
        "late, as long as the threshold stays above what two summaries of a sparse day agree by chance. The other way needs no values: a "
        "tenth of the price goes to features that reach no model. A list of readers is not enough to find them, for some have no reader "
        "and feed a feature that has. Values at 0.95 need a hundred looks before they are right."
    ),
)

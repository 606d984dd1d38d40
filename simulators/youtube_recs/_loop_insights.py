"""What a study of the loop shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.lab import Insight
from simulators.youtube_recs._loop_runs import LATE, WORLDS, Study, chosen, companion, late

SURE = 1.1  # predicted over true rate: more is too sure
WEAK_CONTENT = 0.3


def insights(study: Study) -> list[Insight]:
    return [
        *_agreement(study),
        *_price(study),
        *_gain(study),
        *_optimum(study),
        *_newcomers(study),
        *_prior(study),
        *_policy(study),
        *_grudge(study),
    ]


def _agreement(study: Study) -> Iterator[Insight]:
    served, model, coverage = (late(values) or 0.0 for values in (study.mine.served, study.mine.model, study.mine.coverage))
    sure = late(study.mine.overconfidence) or 0.0
    if study.params.policy == "greedy" and sure < SURE:
        yield Insight(
            f"The model agrees with itself: it predicts {sure:.2f} of the rate of what it picks, so no monitor of served items complains, "
            f"and yet it serves {served:.0%} of the clicks there are. It shows {coverage:.0%} of the catalogue and learns nothing about "
            "the rest.",
            "deep_dive",
            "agrees",
        )
    found = study.exposure
    if found.starved:
        never = f", and {found.unseen} were never shown" if found.unseen else ""
        yield Insight(
            f"Of the {int((found.oracle > 0).sum())} items that the best slates hold, {found.starved} got less than a tenth of their due "
            f"in the last {found.rounds} rounds{never}.",
            "evaluation",
            "missed",
        )


def _price(study: Study) -> Iterator[Insight]:
    served, model, random = (late(values) or 0.0 for values in (study.mine.served, study.mine.model, study.mine.random_share))
    if random:
        yield Insight(
            f"Filling {random:.0%} of the slots without the model costs {1 - served / model:.1%} of the clicks in every round; it pays for "
            f"a model whose best slates are worth {model:.0%} of the oracle's.",
            "capacity",
            "price",
        )


def _gain(study: Study) -> Iterator[Insight]:
    found, other = study.gain, companion(study.params).name
    served, model = float(found.served.mean()), float(found.model.mean())
    said = (
        f"Against {other}, {chosen(study.params).name} serves {served:+.1f} and its model knows {model:+.1f} points of the oracle's clicks"
    )
    if len(found.served) == 1:
        yield Insight(f"{said}, on this one world.", "evaluation", "gain")
        return
    clear = {"clicks": found.clear(found.served), "model": found.clear(found.model)}
    inside = [name for name, is_clear in clear.items() if not is_clear]
    noise = f"; {' and '.join(inside)} within noise" if inside else "; both clear of the noise from world to world"
    yield Insight(f"{said} (mean of {len(found.served)} worlds{noise}).", "evaluation", "gain")


def _optimum(study: Study) -> Iterator[Insight]:
    if study.sweep is None:
        return
    served, model = study.sweep.served.mean(axis=1), study.sweep.model.mean(axis=1)
    best, best_model = study.sweep.shares[int(served.argmax())], study.sweep.shares[int(model.argmax())]
    if best < best_model:
        yield Insight(
            f"Clicks are highest at {best:.0%} of random slots and the model at {best_model:.0%} (mean of {WORLDS} worlds): what is "
            "best for the clicks is less exploring than what is best for the model.",
            "capacity",
            "optimum",
        )
    if best == 0:
        why = (
            f"content explains {study.params.content:.0%} of what makes an item good"
            if study.params.content >= WEAK_CONTENT
            else "nothing new arrives"
            if not study.params.churn
            else "the model learns enough from what it shows"
        )
        yield Insight(f"Exploration only costs here, for {why}: greedy serves {served[0]:.0%}.", "deep_dive", "no_need")


def _newcomers(study: Study) -> Iterator[Insight]:
    new = late(study.mine.new_share)
    if new is None:
        return
    if new < 0.01:
        yield Insight("A new item is not shown: its prior lies below what the slates already hold.", "deep_dive", "cold_start")
    elif study.params.prior == "served" and new > 2:
        yield Insight(
            f"An optimistic prior explores by itself: believed to be as good as what was served, new items get {new:.0f} times their fair "
            f"share on arrival, and the picks promise {late(study.mine.overconfidence) or 0:.2f} times what they keep.",
            "deep_dive",
            "optimist",
        )
    else:
        how = {"new_item": "drawn by how rarely they were shown", "epsilon": "drawn like any other item"}.get(study.params.policy, "")
        yield Insight(f"New items get {new:.2f} of their fair share on arrival{', ' + how if how else ''}.", "deep_dive", "newcomers")


def _prior(study: Study) -> Iterator[Insight]:
    if study.params.content > 0:
        yield Insight(
            f"A content model that explains {study.params.content:.0%} of the variance tells good newcomers from bad before the first "
            f"impression: {late(study.mine.model) or 0:.0%} of the oracle's clicks are within the model's reach.",
            "architecture",
            "content",
        )


def _policy(study: Study) -> Iterator[Insight]:
    coverage = late(study.mine.coverage) or 0.0
    if study.params.policy == "ucb":
        yield Insight(
            f"Between two trainings the bonus does not change, so every slate of a segment in a round is the same: {coverage:.0%} of the "
            "catalogue is shown. The textbook bound assumes an update after each impression.",
            "deep_dive",
            "ucb_batch",
        )
    if study.params.policy == "thompson":
        yield Insight(
            f"Each slate ranks by its own draws, so exploration goes where an item may still be among the best: {coverage:.0%} of the "
            "catalogue is shown in a round and no slot is spent on what is known to be poor.",
            "deep_dive",
            "thompson",
        )


def _grudge(study: Study) -> Iterator[Insight]:
    grudge = late(study.mine.grudge)
    if grudge is not None:
        yield Insight(
            f"{study.params.biased_share:.0%} of the items began with a false history of non-clicks; in the last "
            f"{min(LATE, study.params.rounds)} rounds they have {grudge:.2f} of their fair share of the model's picks.",
            "deep_dive",
            "grudge",
        )

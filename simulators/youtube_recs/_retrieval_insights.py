"""What a study shows, in one sentence an effect, from its own numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.ranking.retrieval.settings import POOL
from simulators.lab import Insight
from simulators.youtube_recs._retrieval_params import SOURCE_LABELS
from simulators.youtube_recs._retrieval_study import Study
from simulators.youtube_recs._retrieval_views import NOISE_SD

MISSED = 0.5  # of the fresh or trending choices
SAME_LISTS = 0.98
POOR_RECALL = 0.97


def insights(study: Study) -> list[Insight]:
    return [*_sampling(study), *_same(study), *_hard(study), *_now(study), *_sources(study), *_newcomers(study), *_index(study)]


def _sampling(study: Study) -> Iterator[Insight]:
    p, towers = study.params, study.alone["two_tower"]
    if p.user_tower == "none" or p.negatives == "uniform":
        return
    caught, popular = study.of_oracle(towers), study.of_oracle(study.alone["popularity"])
    head, best = 100 * towers.share_of(study.head), 100 * study.best.share_of(study.head)
    if p.logq == 1:
        yield Insight(
            f"With the logQ correction the towers give {head:.0f} % of the slots to the top 1 % of the items (best lists {best:.0f} %) and "
            f"alone catch {caught:.1f} % of what the best lists do; popular items for everybody catch {popular:.1f} %.",
            "deep_dive",
            "logq",
        )
    elif p.logq == 0:
        yield Insight(
            f"Uncorrected, an item is punished for how often it is in the batch: the top 1 % get {head:.1f} % of the slots (best lists "
            f"{best:.0f} %), and the towers alone catch {caught:.1f} % of the best lists' choices, popular items {popular:.1f} %.",
            "deep_dive",
            "no_logq",
        )
    else:
        yield Insight(
            f"The correction has the wrong sign and punishes popular items twice: the towers alone catch {caught:.1f} % of the best lists' "
            f"choices where popular items catch {popular:.1f} %, and the loss falls as if all were well.",
            "deep_dive",
            "wrong_sign",
        )


def _same(study: Study) -> Iterator[Insight]:
    towers, health = study.alone["two_tower"], study.user_health
    if towers.overlap > SAME_LISTS:
        yield Insight(
            f"Two viewers share {towers.overlap:.0%} of the towers' list: the user vectors point the same way (mean cosine "
            f"{health.mean_cosine:.2f}) and use {health.effective_rank:.1f} of {study.params.dim} directions, so everybody gets the "
            "popular items.",
            "deep_dive",
            "same_for_all",
        )


def _hard(study: Study) -> Iterator[Insight]:
    if study.params.negatives != "hard":
        return
    own = study.alone["two_tower"]
    if own.ids.shape[1] < POOL:
        return
    pool = 100 * float(own.p[:, :POOL].sum(axis=1).mean())
    yield Insight(
        f"Hard negatives come from each viewer's own top {POOL}, where {pool:.0f} % of the true next choices lie as well: many of them are "
        "false negatives, and training pays for each pair.",
        "deep_dive",
        "hard_negatives",
    )


def _now(study: Study) -> Iterator[Insight]:
    towers, p = study.alone["two_tower"], study.params
    for share, items, name, why, effect in (
        (p.fresh_share, study.world.fresh, "fresh", "the log holds hardly any of them", "fresh"),
        (p.trend_share, study.trends, "trending", "the log is older than the trend", "trend"),
    ):
        if not share:
            continue
        alone, mine = towers.mass_of(items), study.mine.mass_of(items)
        if mine < MISSED:
            yield Insight(
                f"{name.capitalize()} items are {share:.0%} of what is chosen now, and the lists catch {mine:.0%} of that (towers alone "
                f"{alone:.0%}): {why}, so no training on it will find them.",
                "architecture",
                effect,
            )
        else:
            yield Insight(
                f"Of the {name} choices the lists catch {mine:.0%}, the towers alone {alone:.0%}: a source of their own finds what the log "
                "does not hold.",
                "architecture",
                effect,
            )


def _sources(study: Study) -> Iterator[Insight]:
    for name, lost in study.lost.items():
        if len(study.lost) == 1:
            return
        label = SOURCE_LABELS[name]
        if abs(lost.points) < NOISE_SD * lost.noise:
            yield Insight(
                f"Without {label} the lists would catch as much, within noise: its slots are free.", "architecture", f"free_{name}"
            )
        elif lost.points < 0:
            yield Insight(
                f"Without {label} the lists would catch {-lost.points:.1f} points more of what the best lists do: the other sources make "
                "more of its slots.",
                "architecture",
                f"dear_{name}",
            )
        elif name != "two_tower":
            yield Insight(
                f"Without {label} the lists would catch {lost.points:.1f} points less of what the best lists do, though it fills only "
                f"{study.slots_of(name).mean():.0%} of the slots.",
                "architecture",
                f"worth_{name}",
            )


def _newcomers(study: Study) -> Iterator[Insight]:
    found = study.by_history
    if not found:
        return
    popularity = study.of_oracle(study.alone["popularity"])
    passed = next((length for length, value in found.items() if value > popularity), None)
    told = "with" if study.params.demographics else "without"
    first, last = found[0], found[max(found)]
    if passed is None:
        yield Insight(
            f"{told.capitalize()} demographics the towers catch {first:.1f} % of the best lists at no history and {last:.1f} % at "
            f"{max(found)} items, popular items {popularity:.1f} %: newcomers are better served by popularity.",
            "deep_dive",
            "cold_start",
        )
        return
    yield Insight(
        f"{told.capitalize()} demographics the towers pass popular items ({popularity:.1f} %) at {passed} items known: {first:.1f} % at "
        f"none, {last:.1f} % at {max(found)}. Switching at five or ten is a policy, not a law.",
        "deep_dive",
        "cold_start",
    )


def _index(study: Study) -> Iterator[Insight]:
    recall, name = study.found.recall, {"hnsw": "HNSW", "ivf": "IVF"}.get(study.params.index)
    if name is None:
        return
    verdict = "what it misses no ranker sees" if recall < POOR_RECALL else "close enough that the towers stay the limit"
    yield Insight(
        f"{name} returns {recall:.1%} of the towers' exact list; the bias of popular items stretches the vectors, and {verdict}.",
        "architecture",
        "index",
    )

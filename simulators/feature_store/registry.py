"""Lab: who owns, feeds, reads and pays for each feature of a company, what is there twice, and what a change breaks."""

from __future__ import annotations

from simulators.engines.features import windows
from simulators.feature_store import _registry_views as views
from simulators.feature_store._registry_challenge import TIDY_UP
from simulators.feature_store._registry_insights import insights
from simulators.feature_store._registry_params import AGAIN, RegistryParams
from simulators.feature_store._registry_plan import blast, clean_up, found_by, register
from simulators.feature_store._registry_world import world_steps
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps


class RegistryLab(Lab):
    """Who owns, feeds, reads and pays for each feature, and what can be removed?

    **World.** 200 features of 8 event sources, read by 30 models of 6 teams. 40 are planted copies of others, ten each renamed, with the
    window in another unit, on another scale, and fed an hour late from a lake nobody declared; seven of them count the same clicks.
    Values are aggregates of real event logs for 2,000 sampled entities.

    **Duplicates.** A fingerprint hashes root source, keys, filter, operation, column and window in seconds, and no name. Values are
    compared by rank, so that scale does not matter, and nulls count as a value. What a detector flags is merged, after a person has
    looked at as many doubtful pairs as you allow; the feature that was there first stays.

    **Change.** Lineage is a graph of sources, views, features and models. A model needs some days to move away from what changes
    (exponential, 20 on average); whoever is not done when notice ends breaks. A published version never changes, and a feature under
    notice goes when nobody has read it for 30 days. Your own definition is registered in a copy of the registry.
    """

    title = "Registry"
    why = (
        "A feature store of ten teams fails as an organisation first: the same count five times, a column that nobody knew was read, a "
        "definition that changed under its readers. An interviewer asks who may change what, and how you would know."
    )
    phase = "architecture"
    engines = (
        "simulators.engines.features.registry",
        "simulators.engines.features.definitions",
        "simulators.engines.features.duplicates",
    )
    sources = (
        "Sculley et al. 2015, Hidden technical debt in machine learning systems, NeurIPS",
        "Spearman 1904, The proof and measurement of association between two things, Am. J. Psychology 15(1)",
    )
    map_axes = ("reviews_used", "saved_share")
    Params = RegistryParams
    challenges = (TIDY_UP,)
    presets = (
        Preset(
            "seven_ways",
            "Seven ways to count clicks",
            "An eighth team wants to count last week's clicks. Names know nothing; the fingerprint refuses it.",
            {"detector": "both", "definition": AGAIN},
        ),
        Preset(
            "friday_column",
            "Drop a column on Friday",
            "Nobody uses that column, somebody said, and gave no notice.",
            {"detector": "fingerprint", "change": "drop_column", "grace_days": 0, "source": "purchases"},
        ),
        Preset(
            "who_pays",
            "Who pays?",
            "Prices split by reads: merge what is the same, remove what reaches no model, and see whose bill shrinks.",
            {"detector": "both", "orphans": "lineage"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        windows.warm_up()

    def run(self, params: RegistryParams, ctx: Context) -> Steps:
        yield Progress(0, 1, "opening the registry")
        world = yield from world_steps(ctx)
        found = found_by(world, params)
        thresholds, known = views.threshold_figure(world, params.threshold), views.duplicate_metrics(world, found)
        yield Frame(known, [thresholds])
        clean = clean_up(world, found, params)
        yield Progress(1, 3, "following the lineage")
        reach = blast(world, params)
        lineage = views.lineage_figure(world, f"events.{params.source}", reach)
        yield Progress(2, 3, "registering your definition")
        verdict = register(world, params)
        return Result(
            metrics=[*known, *views.clean_metrics(world, clean), *views.change_metrics(clean, reach, verdict)],
            figures=[thresholds, lineage, views.cost_figure(world, clean)],
            tables=[
                views.verdict_table(world, verdict),
                views.reach_table(world, reach, made=params.change != "none"),
                views.pairs_table(world, found),
                views.payers_table(world, clean),
            ],
            insights=tuple(insights(world, params, found, clean, reach, verdict)),
        )

"""Lab: one label for every row, one for few, and four ways to share what is learned."""

from __future__ import annotations

from functools import cache

from simulators.lab import Context, Lab, Preset, Result, Steps
from simulators.youtube_recs import _multitask_views as views
from simulators.youtube_recs._multitask_challenge import ONE_NET
from simulators.youtube_recs._multitask_data import SPEC
from simulators.youtube_recs._multitask_insights import insights
from simulators.youtube_recs._multitask_own import run_own
from simulators.youtube_recs._multitask_params import MultitaskParams
from simulators.youtube_recs._multitask_study import Study, started, trials_steps


class MultitaskLab(Lab):
    """When do shared layers help a rare task, and when do they poison it?

    **The world.** Two labels depend on the same 16 inputs. Each is a sum of sines along three directions, so that a net has to learn
    features before it can predict. The similarity turns the directions of task B towards those of task A: at 1 they are the same, at 0
    they have nothing in common. Task A is labelled on every row; task B on a few, and has fewer positives besides.

    **The nets.** All four are experts, gates and towers. *A net a task* shares nothing. *Shared bottom* has one expert for all. *MMoE*
    has several, which each task mixes by a gate of its own. *PLE* gives each task one expert that nobody else may use.

    **The score.** The probabilities are known, so a net is judged by what it loses against them: the excess log loss, 1,000 x the mean
    KL divergence of its prediction from the truth, on 20,000 rows it has not seen. No noise of labels is in it, and 0 is perfect. What
    remains is the luck of first weights and order of rows: train each net several times to see it.

    With your own file the truth is unknown; nets are then compared by log loss on held-out rows, each difference with its standard error.

    Attention over a user's history is a question of a net's inputs, not of its heads; the lab on click models shows what it buys.
    """

    title = "Several tasks, one net"
    why = "Everybody recites MMoE; the trade-off behind it, what a rare task gains from sharing and what it loses, has to be shown."
    engines = ("simulators.engines.ranking.multitask", "simulators.engines.ranking.worlds.task")
    sources = (
        "Caruana 1997, Multitask Learning, Machine Learning 28",
        "Ma et al. 2018, Modeling task relationships in multi-task learning with multi-gate mixture-of-experts, KDD",
        "Tang et al. 2020, Progressive layered extraction, RecSys",
        "Covington, Adams & Sargin 2016, Deep neural networks for YouTube recommendations, RecSys",
    )
    map_axes = ("params", "xll_b")
    Params = MultitaskParams
    data = SPEC
    challenges = (ONE_NET,)
    presets = (
        Preset(
            "twins",
            "Twins",
            "Both tasks want the same: the rare one learns its features from the labels of the other.",
            {"rho": 1.0, "kinds": ("single", "shared_bottom", "mmoe")},
        ),
        Preset(
            "strangers",
            "Strangers",
            "Nothing in common: one bottom serves the task with the labels. Three trainings of each net show what is luck.",
            {"kinds": ("single", "shared_bottom"), "repeats": 3},
        ),
        Preset(
            "dead_experts",
            "Dead experts",
            "Thirty-two experts and eleven thousand weights for a task with few labels. Count those that get hardly any weight.",
            {"experts": 32, "kinds": ("mmoe",)},
        ),
        Preset(
            "one_in_a_hundred",
            "One label in a hundred",
            "Task B is a survey that one row in a hundred answers, and related to task A. Who can still learn it?",
            {"label_rate": 0.01, "rho": 0.8, "kinds": ("single", "shared_bottom", "mmoe")},
        ),
        Preset(
            "drowned_out",
            "Drowned out",
            "Losses are divided by all rows, so the rare task counts for a seventh. Switch it back on and compare.",
            {"normalise_rare": False, "kinds": ("shared_bottom", "mmoe")},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        _load()

    def run(self, params: MultitaskParams, ctx: Context) -> Steps:
        self.warm_up()  # nothing to do where the worker has
        if ctx.data is not None:
            return (yield from run_own(params, ctx))
        study = started(params, ctx)
        yield from trials_steps(study, ctx, views.picture, views.curve)
        shown = views.picture(study)
        return Result(shown.metrics, shown.figures, [views.sides_table(study)], insights(study), _notes(study))


@cache
def _load() -> None:
    """A first training imports much of torch."""
    from simulators.engines.ranking.multitask import fit_multitask
    from simulators.engines.ranking.worlds import task_world

    world = task_world(0, rows=64, test_rows=1)
    fit_multitask(world.X, world.Y, kind="mmoe", epochs=1)


def _notes(study: Study) -> list[str]:
    params = study.params
    if params.repeats == 1:
        return ["Each net was trained once; trained again, its excess on the rare task moves by 14 to 20 %."]
    return [f"Means of {params.repeats} trainings; intervals are two standard errors."]

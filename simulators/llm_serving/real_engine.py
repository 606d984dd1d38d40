"""Lab: a real transformer served for real, and whether the simulator saw it coming."""

from __future__ import annotations

from importlib import import_module

from simulators.engines.serving import warm_up
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps
from simulators.llm_serving._real_challenge import HALF_THE_MEMORY
from simulators.llm_serving._real_params import RealParams


class RealEngine(Lab):
    """How much do continuous batching, prefix cache and speculation really give, and does the simulator foresee it?

    **The model** is a transformer of 3.3 million parameters (RoPE, gated MLP, eight query heads on two KV heads) that speaks an invented
    language of 300 phrases, whose entropy of 0.385 nats a token no model can beat; it reaches about 0.44. It runs on one thread, and every
    time on this page is CPU time of real forward passes.

    **The engine** keeps keys and values in blocks of 16 tokens and reads them through block tables. Each iteration spends a budget of
    tokens on the running answers first, then on pieces of waiting prompts. Full blocks of prompt are found again by a chained hash. When
    blocks run out, the last request admitted gives its blocks back and is computed again later. Static batches set the longest answer's
    memory aside and wait for their slowest member.

    **Speculation** lets a draft model of 0.2 million parameters, or a table of which token last followed two others, guess k tokens; one
    pass verifies them. A guess x stays with chance min(1, p(x)/q(x)), and the first that does not is replaced from the rest of p, which
    leaves the model's own distribution unchanged. At temperature 0 the answers are the same token by token; where they part, the two best
    logits must lie within 0.0001, which another order of additions can turn.

    **The simulator** of the other labs gets half a second of calibration before the runs and after them: times of linear layers and
    attention at a few sizes. It then simulates the same requests under the same rules. If the two calibrations differ by more than 10 %,
    the machine was busy and no error is claimed. It is told the share of guesses accepted, since no clock decides that.
    """

    title = "A real engine"
    why = "A model of a system is worth what its error says. Here the system runs, so the error can be measured."
    exclusive = True
    phase = "evaluation"
    engines = (
        "simulators.engines.serving.tiny",
        "simulators.engines.serving.tiny.model",
        "simulators.engines.serving.tiny.paged",
        "simulators.engines.serving.tiny.scheduler",
        "simulators.engines.serving.tiny.engine",
        "simulators.engines.serving.tiny.speculate",
        "simulators.engines.serving.tiny.calibrate",
    )
    sources = (
        "Yu et al. 2022, Orca, OSDI",
        "Kwon et al. 2023, PagedAttention, SOSP, arXiv 2309.06180",
        "Leviathan et al. 2023, Fast inference from transformers via speculative decoding, ICML, arXiv 2211.17192",
        "Chen et al. 2023, Speculative sampling, arXiv 2302.01318",
    )
    map_axes = ("blocks_peak", "tokens_per_s")
    Params = RealParams
    challenges = (HALF_THE_MEMORY,)
    presets = (
        Preset(
            "batch_of_one",
            "Batch of one",
            "One request at a time reads all weights for one token. Guesses help most here.",
            {"mode": "sequential", "spec": "draft", "requests": 16},
        ),
        Preset(
            "wait_for_the_slowest",
            "Wait for the slowest",
            "Static batches: most slots have ended and compute on until the longest answer is done.",
            {"mode": "static"},
        ),
        Preset(
            "same_system_prompt",
            "Same system prompt",
            "All prompts begin with the same 256 tokens. The first request computes them, the others find them.",
            {"shared_prefix": 256},
        ),
        Preset(
            "good_guesses",
            "Draft that guesses well",
            "A small model trained as long as the large one: nearly all guesses stay.",
            {"spec": "draft"},
        ),
        Preset(
            "bad_guesses",
            "Draft that guesses badly",
            "The same small model, hardly trained, guessing eight tokens: most of the work is thrown away.",
            {"spec": "weak_draft", "k": 8},
        ),
        Preset(
            "eight_blocks_left",
            "Eight blocks left",
            "One longest request and eight blocks more: sequences are admitted, evicted, and computed again.",
            {"num_blocks": 34},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        warm_up()
        import_module("simulators.llm_serving._real_runs")  # loads torch

    def run(self, params: RealParams, ctx: Context) -> Steps:
        # Here, because these load torch, which a process that only shows the page never needs.
        from simulators.llm_serving import _real_views as views
        from simulators.llm_serving._real_insights import insights
        from simulators.llm_serving._real_runs import calibrated, load_engine, measure

        engine = load_engine(params)
        yield Progress(0, 1, "model loaded")
        cost = yield from calibrated(engine, "measuring this machine")
        yield Frame(figures=[views.surface_figure(cost)])
        report = yield from measure(engine, params, ctx, cost)
        return Result(
            metrics=views.metrics(report),
            figures=views.figures(report),
            tables=views.tables(report),
            insights=tuple(insights(report)),
            notes=NOTES if params.mode != "sequential" else (),
        )


NOTES = ("The speed of one request at a time is taken from the first twelve requests.",)

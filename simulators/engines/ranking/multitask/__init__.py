"""Several labels from one input: a net a task, one shared net, or experts that each task mixes by a gate of its own.

All four kinds are the same net with other gates. Experts are small nets on the input; a gate weighs their outputs; a tower turns the
mixture into the task's logit.

    single         an expert a task, no mixing
    shared_bottom  one expert for all (Caruana 1997)
    mmoe           all experts for all tasks, a softmax gate a task (Ma et al. 2018, Multi-gate Mixture-of-Experts)
    ple            one private expert a task, the rest shared; a gate sees its own and the shared (Tang et al. 2020, one level)

Watch time is learned by weighted logistic regression (Covington et al. 2016) and predicted as the odds exp(logit).
"""

from simulators.engines.ranking.multitask.fit import MultiTask, Probe, fit_multitask, iter_multitask
from simulators.engines.ranking.multitask.labels import WATCH_LOSSES, WatchLoss
from simulators.engines.ranking.multitask.net import KINDS, Kind

__all__ = ["KINDS", "WATCH_LOSSES", "Kind", "MultiTask", "Probe", "WatchLoss", "fit_multitask", "iter_multitask"]

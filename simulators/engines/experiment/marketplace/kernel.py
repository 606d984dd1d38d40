"""The loops that cannot be array operations: a market slot by slot, and team drafts pick by pick. Compiled by numba on first use.

All noise comes in, so that the same noise can be played under another treatment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.engines.compiled import compiled


def _simulate(wants: Any, drivers: Any, log_stay: float, drift: float, noise: Any, lots: Any, served: Any, idle: Any) -> None:
    """wants (2, T, R) riders of control and treatment; drivers (R,); noise (3, T, R) uniform; lots (T, R) seeds of the rationing.

    Fills served (2, T, R) and idle (T, R), drivers left free after the slot. A busy driver stays so with chance exp(log_stay); idle ones
    move to either neighbour on the ring with chance drift / 2 each. When riders outnumber drivers, who gets one is a fair draw.
    """
    slots, regions = idle.shape
    busy, free, moved = np.zeros(regions, np.int64), drivers.copy(), np.zeros(regions, np.int64)
    odds = np.exp(-log_stay) - 1.0
    for t in range(slots):
        for r in range(regions):
            # Binomial by inversion of one uniform: the same noise releases more drivers where more are busy.
            n, k, u = busy[r], 0, noise[0, t, r]
            chance = np.exp(n * log_stay)
            while u > chance and k < n:
                u -= chance
                chance *= odds * (n - k) / (k + 1)
                k += 1
            free[r] += k
            control, treated = wants[0, t, r], wants[1, t, r]
            got = min(free[r], control + treated)
            if got == control + treated or treated == 0 or control == 0:
                served[0, t, r], served[1, t, r] = min(got, control), min(got, treated)
            else:
                state = lots[t, r]
                for _ in range(got):
                    state ^= state << np.uint64(13)
                    state ^= state >> np.uint64(7)
                    state ^= state << np.uint64(17)
                    if np.float64(state >> np.uint64(11)) * 2.0**-53 * (control + treated) < treated:
                        treated -= 1
                    else:
                        control -= 1
                served[0, t, r], served[1, t, r] = wants[0, t, r] - control, wants[1, t, r] - treated
            busy[r] += got - k
            free[r] -= got
        if drift > 0.0:
            moved[:] = 0
            for r in range(regions):
                left = min(free[r], int(free[r] * drift / 2 + noise[1, t, r]))
                right = min(free[r] - left, int(free[r] * drift / 2 + noise[2, t, r]))
                moved[r] -= left + right
                moved[r - 1] += left
                moved[(r + 1) % regions] += right
            free += moved
        idle[t] = free


def _draft(rank_a: Any, rank_b: Any, coins: Any, ranking: Any, teams: Any) -> None:
    """Team drafts of items 0..m-1: rank_a, rank_b (n, m), coins (n, m) 0 or 1; fills ranking and teams (n, m)."""
    sessions, m = rank_a.shape
    used = np.zeros(m, np.bool_)
    for i in range(sessions):
        used[:] = False
        a = b = count_a = count_b = 0
        for k in range(m):
            team = coins[i, k] if count_a == count_b else np.int8(count_a > count_b)
            while a < m and used[rank_a[i, a]]:
                a += 1
            while b < m and used[rank_b[i, b]]:
                b += 1
            item = rank_a[i, a] if team == 0 else rank_b[i, b]
            used[item] = True
            ranking[i, k], teams[i, k] = item, team
            count_a += team == 0
            count_b += team == 1


def simulate(*arrays: Any) -> None:
    """`_simulate`, compiled."""
    compiled(_simulate)(*arrays)


def draft(*arrays: Any) -> None:
    """`_draft`, compiled."""
    compiled(_draft)(*arrays)


def warm_up() -> None:
    """Compiles the loops, or loads what an earlier process compiled."""
    one, lots = np.ones((2, 1, 1), np.int64), np.ones((1, 1), np.uint64)
    simulate(one, one[0, 0], -0.1, 0.0, np.zeros((3, 1, 1)), lots, one.copy(), np.zeros((1, 1), np.int64))
    item = np.zeros((1, 1), np.int64)
    draft(item, item, np.zeros((1, 1), np.int8), item.copy(), np.zeros((1, 1), np.int8))

"""What a run of the assignment lab has to say, one sentence an effect."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from simulators.experimentation._assignment_alarm import ALARM_P, LEVELS, NAMES
from simulators.experimentation._assignment_logs import LOSING
from simulators.experimentation._assignment_views import Findings, p_text
from simulators.lab import Insight


def insights(found: Findings) -> Iterator[Insight]:
    for find in (_log, _odds, _blind, _ramp, _hash, _packing, _conflicts, _cuped, _peeking, _price):
        yield from find(found)


def _log(found: Findings) -> Iterator[Insight]:
    reading = found.reading
    if reading.lift.estimate is None:
        yield Insight(f"No effect can be read from this log. {reading.lift.error}", "evaluation", "undefined")
        return
    lift = f"{100 * reading.lift.estimate:+.2f} %, {p_text(reading.lift.p_value or 0.0)}"
    ratio = f"the sample ratio is {reading.srm.status} ({p_text(reading.srm.p_value)})"
    if reading.false_win and reading.srm.status == "red":
        text = f"The log reads a win of {lift}, where the truth is 0; {ratio}: the alarm is right and the win is not."
        yield Insight(text, "evaluation", "false_win_caught")
    elif reading.false_win:
        text = f"The log reads a win of {lift}, where the truth is 0, and {ratio}: nothing stops this launch."
        yield Insight(text, "evaluation", "false_win_missed")
    elif reading.false_loss:
        text = f"The log reads a loss of {lift}, where the truth is 0, and {ratio}: a change that harms nobody is thrown away."
        yield Insight(text, "evaluation", "false_loss")
    elif reading.srm.status == "red":
        yield Insight(f"No win is read ({lift}), but {ratio}: the arms are no longer alike, so trust no metric.", "evaluation", "srm_red")
    else:
        yield Insight(f"The log reads {lift}, and {ratio}.", "evaluation", "quiet")


def _odds(found: Findings) -> Iterator[Insight]:
    odds = found.reading.odds
    if odds is None or found.params.fault == "none" or found.params.fault_rate == 0:
        return
    text = (
        f"Of 100 such launches about {100 * odds.win:.0f} would read a win and {100 * odds.red:.0f} a red sample ratio; in "
        f"{100 * odds.unstopped:.0f} of them a false win meets no red alarm."
    )
    yield Insight(text, "evaluation", "odds")


def _blind(found: Findings) -> Iterator[Insight]:
    fault, reading = found.params.fault, found.reading
    if fault == "id_churn" and found.params.fault_rate > 0:
        text = (
            "A new id is dealt to both arms alike, so churn dilutes the effect and leaves the sample ratio as it was: count new ids an arm."
        )
        yield Insight(text, "clarify", "id_churn")
    if fault == "redirect_loss" and reading.srm.status == "red" and not reading.false_win:
        text = (
            "Units lost at random shift the ratio and not the mean; the log cannot tell this from a loss that biases, so the alarm stays."
        )
        yield Insight(text, "clarify", "random_loss")
    if fault in LOSING and found.params.fault_rate == 0:
        yield Insight("The fault hits nobody at a rate of 0 %.", "clarify", "no_fault")


def _ramp(found: Findings) -> Iterator[Insight]:
    reading = found.reading
    if reading.phases == 1 or reading.pooled is None:
        if found.params.fault == "ramp_without_sticky" and reading.phases == 1:
            yield Insight("The share never changes, so nobody changes arms and sticky buckets are not missed.", "evaluation", "no_ramp")
        return
    if reading.pooled.p_value < ALARM_P <= reading.srm.p_value:
        text = (
            f"Days pooled against the last share, the ratio looks broken ({p_text(reading.pooled.p_value)}); phase by phase it is as "
            f"planned ({p_text(reading.srm.p_value)}): test every phase against its own share."
        )
        yield Insight(text, "evaluation", "ramp_pooled")
    if found.params.fault == "ramp_without_sticky":
        text = "Without sticky buckets a larger share pulls control users into treatment, and those who come back often are pulled most."
        yield Insight(text, "architecture", "not_sticky")


def _hash(found: Findings) -> Iterator[Insight]:
    audit = found.audit
    noise, largest = 1 / math.sqrt(audit.n), float(np.abs(audit.pairs).max())
    if found.params.hash == "unsalted":
        text = "Without a salt every experiment deals the same arms (correlation 1): whoever is treated once is treated always."
        yield Insight(text, "architecture", "unsalted")
    elif audit.correlated > 0.05:
        text = (
            f"{audit.correlated:.0%} of the pairs correlate, the worst at {largest:.2f}: seeds with a common stem differ in their last "
            "characters only, and FNV v1 hashes those last."
        )
        yield Insight(text, "architecture", "hash_correlated")
    else:
        text = (
            f"The largest correlation of {len(audit.pairs)} pairs is {largest:.4f}; for {audit.n:,} units chance gives each about "
            f"{noise:.4f}, so no experiment tells another's arms."
        )
        yield Insight(text, "architecture", "hash_independent")


def _packing(found: Findings) -> Iterator[Insight]:
    packing = found.packing
    if packing.wanted > 1 + 1e-9:
        text = (
            f"The fullest layer would need {packing.wanted:.0%} of its units, so its experiments get {1 / packing.wanted:.0%} of what they "
            "need: exclusive traffic is finite."
        )
        yield Insight(text, "capacity", "overbooked")
    elif packing.traffic_met < 1 - 1e-9:
        yield Insight(f"The worst served experiment gets {packing.traffic_met:.0%} of the units it needs.", "capacity", "underserved")
    else:
        text = f"All twelve experiments get their traffic in {len(packing.layers)} layers, and {packing.free:.0%} of the layers is free."
        yield Insight(text, "capacity", "served")


def _conflicts(found: Findings) -> Iterator[Insight]:
    traffic = found.traffic
    if traffic.conflict_units:
        text = (
            f"{traffic.conflict_units:,} units are in both of a conflicting pair, which costs {traffic.lost / traffic.total:.2%} of all "
            "engagement: layers exclude only inside, so conflicting experiments belong into one."
        )
        yield Insight(text, "architecture", "conflicts")
    else:
        yield Insight("Conflicting experiments share a layer, so no unit is in both.", "architecture", "no_conflicts")


def _cuped(found: Findings) -> Iterator[Insight]:
    if found.params.cuped_rho > 0:
        saved = found.params.cuped_rho**2
        yield Insight(f"CUPED takes {saved:.0%} off the traffic that every experiment needs.", "capacity", "cuped")


def _peeking(found: Findings) -> Iterator[Insight]:
    alarms = found.alarms
    daily, sequential = (100 * alarms.rings(key, LEVELS[0], fault=False) for key in ("chi2_daily", "sequential"))
    if daily > 200 * LEVELS[0]:
        text = (
            f"Read every day at 5 %, the chi-square test cries wolf in {daily:.0f} % of sound experiments of {found.params.days} days, "
            f"the sequential test in {sequential:.1f} %."
        )
        yield Insight(text, "evaluation", "alarm_peeking")


def _price(found: Findings) -> Iterator[Insight]:
    end, sequential = (100 * found.alarms.rings(key, ALARM_P) for key in ("chi2_end", "sequential"))
    if end > sequential + 5:
        text = (
            f"Looking daily costs power: at p < {ALARM_P} the sequential test finds the fault in {sequential:.0f} % of experiments, "
            f"{NAMES['chi2_end'].lower()} in {end:.0f} %."
        )
        yield Insight(text, "evaluation", "alarm_price")

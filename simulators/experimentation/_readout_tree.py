"""What the page shows of the metric tree, and the decision that follows from it."""

from __future__ import annotations

from typing import Literal

from simulators.engines.experiment.stats import Comparison
from simulators.experimentation._readout_family import Family, Rates
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure, Insight, Metric, Table

Decision = Literal["ship", "hold", "guardrail breached"]
CORRECTIONS = {
    "none": "No correction",
    "bonferroni": "Bonferroni",
    "holm": "Holm",
    "bh": "Benjamini-Hochberg",
    "hierarchical": "Gatekeeping",
}


def decide(family: Family, north_star: Comparison, alpha: float) -> tuple[Decision, str]:
    """The decision and its reason. A harmed guardrail comes first; to ship takes a proven gain and every guardrail held."""
    breached = [rail.name for rail in family.guardrails if rail.status == "breached"]
    if breached:
        return "guardrail breached", f"{breached[0]} is worse, and a worsening beyond the margin is not ruled out"
    if north_star.estimate is not None and family.adjusted[0] < alpha and north_star.estimate <= 0:
        return "hold", f"the North Star has fallen (adjusted p = {family.adjusted[0]:.2g})"
    if north_star.estimate is None or family.adjusted[0] >= alpha:
        return "hold", f"no gain of the North Star is proven (adjusted p = {family.adjusted[0]:.2g})"
    unproven = [rail.name for rail in family.guardrails if rail.status == "unproven"]
    if unproven:
        return "hold", f"{unproven[0]} is not proven to stay inside its margin"
    return "ship", f"the North Star has gained (adjusted p = {family.adjusted[0]:.2g}) and every guardrail holds"


def metrics(family: Family, rates: Rates, decision: Decision, null_wins: float) -> list[Metric]:
    held = sum(rail.status == "held" for rail in family.guardrails) / len(family.guardrails)
    nothing = "no metric of this kind is moved"
    return [
        Metric("ship", "Decision is to ship", float(decision == "ship"), "1 = yes", note=decision),
        Metric("family_power", "Chance to declare the North Star", rates.north_star, "share", better="up", note=_note(rates.north_star)),
        Metric(
            "proxy_power",
            "Moved proxies declared",
            rates.proxies,
            "share",
            better="up",
            note="" if rates.proxies is not None else nothing,
        ),
        Metric("family_error", "Chance of any false win", rates.any_false, "share", better="down"),
        Metric("false_share", "False among the wins", rates.false_share, "share", better="down"),
        Metric("null_wins", "Tests with a win if nothing moved, uncorrected", null_wins, "share", better="down"),
        Metric("guardrails_held", "Guardrails held", held, "share", better="up"),
    ]


def _note(value: float | None) -> str:
    return "" if value is not None else "the true lift is zero"


def figure(family: Family, alpha: float) -> Figure:
    """Adjusted p-value of every metric of the family, smallest first, with what is true of each."""
    moved = [True, *(proxy.truth != 0 for proxy in family.proxies)]
    order = sorted(range(len(family.p)), key=lambda i: family.adjusted[i])
    floor = 1e-6
    series = []
    for colour, (name, wanted) in enumerate((("Truly moved", True), ("Unchanged", False))):
        places = [place for place, i in enumerate(order, 1) if i != 0 and moved[i] == wanted]
        y = [max(floor, float(family.adjusted[order[place - 1]])) for place in places]
        series.append(Series(name, places, y, "markers", colour))
    series.append(Series("North Star", [order.index(0) + 1], [max(floor, float(family.adjusted[0]))], "markers", 2))
    wins = int((family.adjusted < alpha).sum())
    title = f"{CORRECTIONS[family.correction]}: {wins} of {len(order)} metrics {'is' if wins == 1 else 'are'} declared"
    false = sum(family.adjusted[i] < alpha and not moved[i] for i in order)
    summary = f"Adjusted p-values of {len(order)} metrics; {wins} below alpha, {false} of them unchanged in truth."
    made = line_figure(
        "family",
        title,
        summary,
        [s for s in series if s.x],
        Axis("Rank of the metric", "place"),
        Axis("Adjusted p-value", "probability", "log"),
    )
    return with_line(made, label="alpha", y=alpha)


def table(family: Family, north_star: Comparison, truth: float | None, label: str, alpha: float) -> Table:
    columns = ("Metric", "Role", "Effect (%)", "True effect (%)", "p-value", "Adjusted p-value", "Reading")
    rows = [_row(label, "North Star", north_star, truth, float(family.adjusted[0]), _reading(north_star, family.adjusted[0], alpha))]
    for proxy, adjusted in zip(family.proxies, family.adjusted[1:], strict=True):
        rows.append(_row(proxy.name, "proxy", proxy.comparison, proxy.truth, float(adjusted), _reading(proxy.comparison, adjusted, alpha)))
    for rail in family.guardrails:
        rows.append(_row(rail.name, "guardrail", rail.comparison, rail.truth, None, rail.status))
    return Table("tree", "Metric tree", columns, tuple(rows))


def _row(
    name: str, role: str, found: Comparison, truth: float | None, adjusted: float | None, reading: str
) -> tuple[str | float | int | None, ...]:
    effect = None if found.estimate is None else 100 * found.estimate
    return (name, role, effect, None if truth is None else 100 * truth, found.p_value, adjusted, reading)


def _reading(found: Comparison, adjusted: float, alpha: float) -> str:
    if found.estimate is None or adjusted >= alpha:
        return "no change proven"
    return "higher" if found.estimate > 0 else "lower"


def insights(family: Family, rates: Rates, decision: Decision, reason: str, alpha: float, null_wins: float) -> list[Insight]:
    made = [Insight(f"Decision: {decision}, because {reason}.", "evaluation", "decision")]
    m, raw = len(family.p), int((family.p < alpha).sum())
    if m > 1 and family.correction == "none":
        text = f"{m} metrics each read at {alpha:.1%}: if nothing had moved, {null_wins:.0%} of tests would still show a win."
        made.append(Insight(text, "evaluation", "many_metrics"))
    elif m > 1:
        kept, name = int((family.adjusted < alpha).sum()), CORRECTIONS[family.correction]
        text = f"{raw} of {m} metrics have p below alpha; {name} declares {kept} and errs somewhere in {rates.any_false:.1%} of such tests."
        made.append(Insight(text, "evaluation", "correction"))
    if rates.proxies is not None:
        made.append(
            Insight(
                f"{CORRECTIONS[family.correction]} finds {rates.proxies:.0%} of the proxies that moved; "
                f"{rates.false_share:.1%} of what it declares is false on average.",
                "evaluation",
                "multiplicity",
            )
        )
    for rail in family.guardrails:
        if rail.status != "held" and rail.comparison.estimate is not None:
            text = f"Guardrail {rail.name}: {rail.comparison.estimate:+.2%}, {rail.status}; the margin is not the bar of significance."
            made.append(Insight(text, "evaluation", "guardrail"))
    return made

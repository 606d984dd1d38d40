"""Two tabs, a bad network and crashes: no word is lost. Each rule of the protocol is then left out once, to show that the check can see.

A word is accounted for when it stands in the text at the end, or when a person decided against a version that had it and the
history still has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.interviews import answers, presets
from mlsd_app.interviews.models import Answer, AnswerOp, Attempt, Status
from mlsd_app.interviews.texts import version_text
from mlsd_app.interviews.writes import Reply, Write
from tests.web.interviews.conftest import NOW
from tests.web.interviews.tab import FIELD, Mutant, Network, Seen, Site, Tab

STEPS = 14
CHOICES = ["mine", "theirs", "both"]


@dataclass
class Outcome:
    lost: set[str]
    conflicts: int
    self_conflicts: int
    left_over: int


class Interleaving:
    """Two tabs of one person, on one device or two, for some steps; then the network heals and both come to rest."""

    def __init__(self, user: User, seed: int, mutant: Mutant, mode: str = "soft") -> None:
        self.random, self.time = Random(seed), NOW
        phases = presets.preset_phases("five_phase")
        self.attempt = Attempt.objects.create(
            user=user, problem="vector_search", phases=phases, mode=mode, status=Status.OPEN, started_at=NOW
        )
        self.network = Network(Site(user, f"/interviews/{self.attempt.pk}/"), self.random)
        self.seen, self.words = Seen(), set[str]()
        device: dict[str, dict[str, Any]] = {}
        other = device if self.random.random() < 0.5 else {}
        with patch("django.utils.timezone.now", lambda: self.time):
            self.tabs = [Tab(name, storage, self.network, self.seen, mutant) for name, storage in (("a", device), ("b", other))]

    def run(self, steps: int = STEPS) -> Outcome:
        with patch("django.utils.timezone.now", lambda: self.time):
            for _ in range(steps):
                self.step(self.random.choice(self.tabs))
            self.network.whole = True
            for tab in self.tabs:
                self.settle(tab)
        return self.outcome()

    def step(self, tab: Tab) -> None:
        self.time += timedelta(seconds=self.random.choice([0.2, 1, 2, 5, 25]))
        if self.network.requests and self.random.random() < 0.4:
            self.network.deliver_request()
        if self.network.replies and self.random.random() < 0.4:
            self.network.deliver_reply()
        if self.random.random() < 0.06:
            tab.load()  # it crashed, or was reloaded
        elif not tab.held and self.random.random() < 0.5:
            tab.take(over=self.random.random() < 0.7)
        elif tab.waiting and self.random.random() < 0.7:
            tab.choose(self.random.choice(CHOICES))
        elif tab.offered and self.random.random() < 0.5:
            self.random.choice([tab.restore_left, tab.discard_left])()
        elif tab.writable and self.random.random() < 0.6:
            self.words.add(tab.type())
        elif tab.dirty and self.random.random() < 0.1:
            tab.give_up()
        if self.random.random() < 0.6:
            tab.poke()

    def settle(self, tab: Tab) -> None:
        tab.take(over=True)
        for _ in range(40):
            while self.network.requests:
                self.network.deliver_request()
            while self.network.replies:
                self.network.deliver_reply()
            if not tab.held:
                tab.take(over=True)
            elif tab.waiting:
                tab.choose(self.random.choice(CHOICES))
            elif tab.offered:
                self.random.choice([tab.restore_left, tab.discard_left])()
            elif tab.pending or tab.flying:
                tab.poke()
            else:
                return
        raise AssertionError(f"tab {tab.name} does not come to rest")

    def outcome(self) -> Outcome:
        final = Answer.objects.filter(attempt=self.attempt, field=FIELD).first()
        standing = set((final.content or "").split()) if final else set()
        decided = {word for text in self.seen.decided_against for word in text.split()}
        ops = list(AnswerOp.objects.filter(attempt=self.attempt))
        kept = {word for op in ops for word in (version_text(op) or "").split()}
        missing = self.words - standing
        left_over = sum(len(tab.storage) for tab in self.tabs)
        return Outcome((missing - decided) | (missing - kept), self.seen.conflicts, self_conflicts(ops), left_over)


def self_conflicts(ops: list[AnswerOp]) -> int:
    """Conflicts of a page with what it had written itself, but for writes that it had replaced before they came."""
    page = {op.rev: op.op_id.rpartition("-")[0] for op in ops if op.rev}
    replaced = {op.after for op in ops}
    heard = [op for op in ops if op.code == 409 and op.op_id not in replaced]
    return sum(page.get(op.reply["rev"]) == op.op_id.rpartition("-")[0] for op in heard)


def outcomes(user: User, seeds: range, mutant: Mutant | None = None, steps: int = STEPS) -> Iterator[Outcome]:
    for seed in seeds:
        yield Interleaving(user, seed, mutant or Mutant()).run(steps)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_no_word_is_lost_in_a_thousand_interleavings(user: User, first: int) -> None:
    found = list(outcomes(user, range(first, first + 250)))
    assert [first + number for number, outcome in enumerate(found) if outcome.lost] == []
    assert sum(outcome.self_conflicts for outcome in found) == 0
    assert sum(outcome.left_over for outcome in found) == 0  # copies go when the server has what they say
    assert sum(outcome.conflicts for outcome in found) > 75  # tabs did get in each other's way


def test_words_that_miss_a_strict_phase_are_in_the_history_and_hold_nothing_up(user: User) -> None:
    late = Interleaving(user, 1, Mutant(), mode="strict")
    late.network.whole, tab = True, late.tabs[0]
    with patch("django.utils.timezone.now", lambda: late.time):
        tab.take()
        in_time = tab.type()
        late.settle(tab)
        late.time += timedelta(minutes=6)
        tab.take()
        missed = tab.type()
        late.settle(tab)
    assert (tab.blocked, tab.dirty, tab.pending) == ("phase_frozen", True, False)
    assert Answer.objects.get(attempt=late.attempt, field=FIELD).content == in_time
    assert any(missed in (version_text(op) or "") for op in AnswerOp.objects.filter(attempt=late.attempt))


# --- the same with a rule left out -----------------------------------------------------------------------------------------


def share_that_loses(found: list[Outcome]) -> float:
    return sum(bool(outcome.lost) for outcome in found) / len(found)


def test_last_write_wins_would_lose_text(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_conflict", answers._stored)
    monkeypatch.setattr(answers, "_locked", lambda write, epoch: None)
    assert share_that_loses(list(outcomes(user, range(40)))) > 0.1


def test_clearing_the_copy_on_any_answer_would_lose_text(user: User) -> None:
    assert share_that_loses(list(outcomes(user, range(100), Mutant(ack_clears_all=True)))) > 0.01


def test_not_storing_the_loser_would_lose_text(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_refused(write: Write, kind: str, status: int, code: str, **body: Any) -> Reply:
        return write.reply(status, code, **body)

    monkeypatch.setattr(Write, "set_aside", only_refused)
    assert share_that_loses(list(outcomes(user, range(40)))) > 0.1


def test_without_op_ids_a_tab_would_conflict_with_itself(user: User) -> None:
    assert sum(outcome.self_conflicts for outcome in outcomes(user, range(30), Mutant(no_op_id=True), steps=40)) > 1  # none with them

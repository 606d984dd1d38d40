"""A browser tab that writes one field by the rules of static/js/interview/saver.js, line by line, and the network it does it over.

Every word somebody types is different, so that in the end each one can be asked after: it stands in the text, or a person decided
against a version that had it, and then it stands in the history.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from django.test import RequestFactory
from django.urls import resolve

from mlsd_app.accounts.models import User

FIELD = "text/clarify"
JOINT = "\n\n---\n\n"


@dataclass(frozen=True)
class Mutant:
    """A rule left out. The others are left out on the server's side."""

    ack_clears_all: bool = False
    no_op_id: bool = False


class Answered(NamedTuple):
    status: int
    body: dict[str, Any]


@dataclass
class Site:
    """The real addresses and views, without the middleware, which has no part in this. Requests that got lost never come here."""

    user: User
    url: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answered:
        url = f"{self.url}{path}"
        request = RequestFactory().generic(method, url, json.dumps(body) if body is not None else "", content_type="application/json")
        request.user = self.user
        match = resolve(url)
        response = match.func(request, *match.args, **match.kwargs)
        return Answered(response.status_code, json.loads(response.content))


@dataclass
class Flight:
    page: str
    op: dict[str, Any]


@dataclass
class Network:
    """Loses requests, loses replies, delivers some twice; nothing once `whole`."""

    site: Site
    random: Random
    requests: list[tuple[Tab, Flight, bool]] = field(default_factory=list)
    replies: list[tuple[Tab, Flight, Answered | None]] = field(default_factory=list)
    whole: bool = False

    def _bad(self, share: float) -> bool:
        return not self.whole and self.random.random() < share

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answered | None:
        """For what a page waits for: None when there was no answer."""
        if self._bad(0.2):
            return None
        if self._bad(0.1):
            self.site.call(method, path, body)
        answered = self.site.call(method, path, body)
        return None if self._bad(0.2) else answered

    def deliver_request(self) -> None:
        tab, flight, copy = self.requests.pop(self.random.randrange(len(self.requests)))
        if self._bad(0.2) and not copy:
            self.replies.append((tab, flight, None))
            return
        answered = self.site.call("PUT", f"answers/{FIELD}", flight.op)
        if self._bad(0.1) and not copy:
            self.requests.append((tab, flight, True))
        if not copy:
            self.replies.append((tab, flight, None if self._bad(0.2) else answered))

    def deliver_reply(self) -> None:
        tab, flight, answered = self.replies.pop(self.random.randrange(len(self.replies)))
        tab.landed(flight, answered)


@dataclass
class Seen:
    """What a person was shown and decided against."""

    decided_against: list[str] = field(default_factory=list)
    conflicts: int = 0


class Tab:
    """`storage` is the localStorage of its device."""

    def __init__(self, name: str, storage: dict[str, dict[str, Any]], network: Network, seen: Seen, mutant: Mutant) -> None:
        self.name, self.storage, self.network, self.seen, self.mutant = name, storage, network, seen, mutant
        self.typed_words = self.pages = self.ops = 0
        self.load()

    # --- the page opens, or dies

    def load(self) -> None:
        """What the page is rendered with comes from the server; it opens without loss, or there is no page."""
        self.pages += 1
        self.page = f"{self.name}p{self.pages}"
        start = self.network.site.call("GET", f"answers/{FIELD}").body
        self.rev, self.server_op = start["rev"], start["op_id"]
        self.shown = self.acked = start["content"] or ""
        self.flying: dict[str, Any] | None = None
        self.flight: Flight | None = None
        self.waiting: dict[str, Any] | None = None
        self.offered: dict[str, Any] | None = None
        self.taken: dict[str, Any] | None = None
        self.dropping: dict[str, Any] | None = None
        self.left: list[dict[str, Any]] = []
        self.blocked, self.held, self.epoch = "lease_lost", False, 0

    @property
    def dirty(self) -> bool:
        return self.shown != self.acked

    @property
    def pending(self) -> bool:
        """Whether it may still be saved: what came after its phase was over stays in the history."""
        return self.dirty and self.blocked != "phase_frozen"

    @property
    def writable(self) -> bool:
        return self.held and not self.blocked and not self.waiting

    # --- the lease

    def take(self, *, over: bool = False) -> None:
        answered = self.network.call("POST", "lease", {"client_id": self.name, "take_over": over})
        if answered is None or not answered.body["held"]:
            return
        self.held, self.epoch = True, answered.body["lease_epoch"]
        fresh = self.network.call("GET", f"answers/{FIELD}")
        if fresh:
            self.refresh(fresh.body)
        if self.blocked:
            self.blocked = ""
            self.save()
        if fresh:
            self.left = self._copies_of_others()
            self.next_left()

    # --- writing

    def type(self) -> str:
        self.typed_words += 1
        word = f"{self.name}{self.typed_words}"
        self.shown = f"{self.shown} {word}".strip()
        self.copy()
        return word

    def save(self) -> None:
        if self.dirty and not (self.flying or self.waiting or self.blocked):
            self.write()

    def write(self, after: str = "") -> None:
        self.flying, self.tries = {"op_id": self.new_id(), "content": self.shown, "base_rev": self.rev, "after": after}, 0
        self.fly()

    def fly(self) -> None:
        assert self.flying is not None
        self.tries += 1
        self.flight = Flight(self.page, {**self.flying, "client_id": self.name, "lease_epoch": self.epoch})
        self.network.requests.append((self, self.flight, False))

    def poke(self) -> None:
        """A timer fires: what had no answer is sent again."""
        if self.flying and not self.flight:
            self.fly()
        else:
            self.save()

    def landed(self, flight: Flight, answered: Answered | None) -> None:
        if flight.page != self.page or self.flight is not flight:
            return
        self.flight = None
        if answered is None or self.flying is None:
            if self.mutant.no_op_id:
                self.flying = None  # without a name it cannot be asked after: the next write says what is shown by then
            self.copy()
            return
        op, self.flying = self.flying, None
        self.outdated = flight.op["lease_epoch"] != self.epoch
        {200: self.stored, 409: self.overtaken, 423: self.locked}[answered.status](op, answered.body)

    def stored(self, op: dict[str, Any], body: dict[str, Any]) -> None:
        self.rev, self.server_op, self.acked = body["rev"], op["op_id"], op["content"]
        self.epoch = max(self.epoch, body["lease_epoch"])
        if self.shown == op["content"]:
            self.confirmed()
        elif self.mutant.ack_clears_all:
            self.clear()
        else:
            self.copy()
        if body["current_rev"] > body["rev"] and (fresh := self.network.call("GET", f"answers/{FIELD}")):
            self.refresh(fresh.body)
        self.next_left()

    def overtaken(self, op: dict[str, Any], body: dict[str, Any]) -> None:
        theirs = body["content"] or ""
        if theirs == self.shown:
            self.rev, self.server_op, self.acked = body["rev"], "", theirs
            self.confirmed()
            return
        self.wait(theirs, body["rev"], kept=op["content"])

    def locked(self, op: dict[str, Any], body: dict[str, Any]) -> None:
        before = self.tries > 1 or self.outdated
        if before and (self.dirty or op.get("after")):
            self.write(op.get("after", ""))
            return
        if not self.dirty:
            self.confirmed()
        if not before:
            self.blocked = body["code"]
            self.held = self.held and self.blocked != "lease_lost"

    def refresh(self, start: dict[str, Any]) -> None:
        if self.flying or self.waiting or start["rev"] <= self.rev:
            return
        theirs = start["content"] or ""
        if self.dirty and theirs != self.shown:
            self.wait(theirs, start["rev"], op=start["op_id"])
            return
        self.rev, self.server_op, self.acked, self.shown = start["rev"], start["op_id"], theirs, theirs
        self.confirmed()

    # --- choosing

    def wait(self, theirs: str, rev: int, kept: str | None = None, op: str = "") -> None:
        self.seen.conflicts += 1
        self.waiting = {"theirs": theirs, "rev": rev, "kept": kept, "op": op}
        self.copy()

    def choose(self, which: str) -> None:
        assert self.waiting is not None
        theirs, mine = self.waiting["theirs"], self.shown
        if which == "theirs" and mine != self.waiting["kept"] and not self.drop(mine):
            return
        if which != "both":
            self.seen.decided_against.append(mine if which == "theirs" else theirs)
        self.rev, self.server_op, self.acked, self.waiting = self.waiting["rev"], self.waiting["op"], theirs, None
        if which == "theirs":
            self.shown = theirs
        if which == "both":
            self.shown = f"{theirs.rstrip()}{JOINT}{mine}"
        if self.dirty:
            self.copy()
        else:
            self.confirmed()
        self.save()
        self.next_left()

    def give_up(self) -> None:
        """Decides against what is shown and not saved; a write under way is followed by one that undoes it."""
        mine = self.shown
        if not self.dirty or self.waiting or not self.drop(mine):
            return
        self.seen.decided_against.append(mine)
        before, self.shown = self.flying, self.acked
        if before is None:
            self.confirmed()
            return
        self.write(before["op_id"])
        self.copy()

    def drop(self, content: str) -> bool:
        if not self.dropping or self.dropping["content"] != content:
            self.dropping = {"op_id": self.new_id(), "content": content, "base_rev": self.rev, "client_id": self.name}
        answered = self.network.call("POST", f"answers/{FIELD}/dropped", self.dropping)
        if answered is None or answered.status != 200:
            return False
        self.dropping = None
        return True

    # --- copies on the device

    def copy(self) -> None:
        op = self.flying["op_id"] if self.flying else None
        self.storage[self.page] = {"key": self.page, "base_rev": -1 if self.waiting else self.rev, "content": self.shown, "op": op}

    def clear(self) -> None:
        self.storage.pop(self.page, None)

    def confirmed(self) -> None:
        self.clear()
        self.forget_taken()

    def forget_taken(self) -> None:
        if self.taken:
            self.forget(self.taken)
        self.taken = None

    def forget(self, copy: dict[str, Any]) -> bool:
        now = self.storage.get(copy["key"])
        if now and now["content"] != copy["content"]:
            return False
        self.storage.pop(copy["key"], None)
        return True

    def _copies_of_others(self) -> list[dict[str, Any]]:
        return [copy for key, copy in self.storage.items() if key != self.page]

    def next_left(self) -> None:
        if self.waiting or self.offered or self.dirty or self.flying or self.blocked or not self.left:
            return
        kept = self.storage.get(self.left.pop(0)["key"])
        if kept is None or kept["content"] == self.acked:
            if kept:
                self.forget(kept)
            self.next_left()
        elif kept["base_rev"] == self.rev or (kept["op"] and kept["op"] == self.server_op):
            self.offered = {**kept, "rev": self.rev}
        else:
            self.take_against(kept)

    def take_against(self, kept: dict[str, Any]) -> None:
        theirs = self.acked
        self.take_copy(kept)
        self.wait(theirs, self.rev, op=self.server_op)

    def take_copy(self, kept: dict[str, Any]) -> None:
        self.taken, self.shown = kept, kept["content"]
        self.copy()
        self.forget_taken()

    def restore_left(self) -> None:
        if self.dirty or not self.offered:
            self.save()
            return
        offered, self.offered = self.offered, None
        kept = self.storage.get(offered["key"])
        if kept and offered["rev"] != self.rev:
            self.take_against(kept)
        elif kept:
            self.take_copy(kept)
        self.save()
        self.next_left()

    def discard_left(self) -> None:
        kept = self.offered
        if not kept or not self.drop(kept["content"]):
            return
        self.seen.decided_against.append(kept["content"])
        self.offered = None
        if not self.forget(kept):
            self.left.insert(0, kept)
        self.next_left()

    def new_id(self) -> str:
        self.ops += 1
        return f"{self.name}-{self.pages}-{self.ops}"

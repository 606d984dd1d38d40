"""Twenty people dragging sliders for a minute: nothing fails, nothing is lost, and everybody ends with the picture of their last tweak."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.live import LiveSite

CLIENTS = 20
MINUTE_S = 60.0
PATIENCE_S = 60.0
LABS: dict[str, dict[str, list[Any]]] = {
    "vector_search/index_tradeoffs": {"kind": ["ivf_flat", "ivf_sq8"], "n": [5000], "nprobe": [1, 2, 4, 8, 16, 32], "k_factor": [2, 4, 8]},
    "experimentation/readout": {"users": [20_000], "rho": [0.0, 0.3, 0.5, 0.7, 0.9], "alpha": [1, 5, 10], "lift": [0, 1, 2, 5]},
}


class Person:
    """One browser tab that drags at random; half of the time it does not wait for the answer before it drags on."""

    def __init__(self, site: str, number: int) -> None:
        self.lab = list(LABS)[number % len(LABS)]
        self.url = f"{site}/labs/{self.lab}/"
        self.site, self.slot = site, f"tab-{number}"
        self.draw = random.Random(number)
        self.session = requests.Session()
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []

    def drag_until(self, deadline: float) -> None:
        try:
            self.session.get(self.url, timeout=PATIENCE_S).raise_for_status()
            while time.monotonic() < deadline:
                self.tweak(self.pick(), patient=self.draw.random() < 0.5)
                time.sleep(self.draw.uniform(0.1, 0.6))
            self.check_last(self.pick())
        except (requests.RequestException, AssertionError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")

    def pick(self) -> dict[str, Any]:
        return {name: self.draw.choice(values) for name, values in LABS[self.lab].items()}

    def tweak(self, values: dict[str, Any], *, patient: bool) -> dict[str, Any]:
        """Starts a run and follows it to its end, or, if impatient, leaves after the second event. The data of the last event seen."""
        headers = {"X-CSRFToken": self.session.cookies["csrftoken"]}
        data: dict[str, Any] = {}
        with self.session.post(
            f"{self.url}runs", data={**values, "slot": self.slot}, headers=headers, stream=True, timeout=PATIENCE_S
        ) as response:
            assert response.status_code == 200, f"{response.status_code} {response.text[:200]}"
            for position, (kind, data) in enumerate(events(response)):
                self.seen[kind] += 1
                if kind in ("failed", "lost", "expired"):
                    self.problems.append(f"{kind}: {data['message']}")
                if position == 1 and not patient:
                    break
        return data

    def check_last(self, values: dict[str, Any]) -> None:
        done = self.tweak(values, patient=True)
        assert "figures" in done, "the last tweak was not answered with its picture"
        kept = self.session.get(f"{self.site}/runs/{done['run']}/result.json", timeout=PATIENCE_S).json()
        given = {name: kept["params"][name][0] if isinstance(kept["params"][name], list) else kept["params"][name] for name in values}
        assert given == values, f"{given} is shown after {values}"


def events(response: requests.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    for line in response.iter_lines(chunk_size=None):
        if line.startswith(b"event: "):
            kind = line[7:].decode()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line[6:])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_people_tweak_at_once_for_a_minute(live_site: LiveSite) -> None:
    people = [Person(live_site.url, number) for number in range(CLIENTS)]
    deadline = time.monotonic() + MINUTE_S
    threads = [threading.Thread(target=person.drag_until, args=(deadline,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [problem for person in people for problem in person.problems] == []
    total = sum((person.seen for person in people), Counter[str]())
    assert total["done"] >= 5 * CLIENTS, total

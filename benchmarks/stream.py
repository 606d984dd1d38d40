"""A run as its user feels it: from POST to the first events, from a slider to the picture, from "cancel" to the worker's stop.

Everything is real: uvicorn, Redis, a Celery worker, and Chromium for the slider. Every run is computed, none comes from the cache.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import requests
from playwright.sync_api import Page, sync_playwright

from benchmarks._measure import own_site, percentile_ms, table
from mlsd_app.core.demo import PEOPLE
from tests.e2e.conftest import ARGUMENTS
from tests.live import LiveSite, sign_in, wait_until

RUNS, CANCELS, STEPS = 200, 20, 40
CHEAP = ("experimentation/readout", {"users": "10000"})
LONG = (
    ("experimentation/readout", {"users": "10000000"}),
    ("vector_search/index_tradeoffs", {"kind": "hnsw", "n": "100000", "ef_construction": "400"}),
)
WATCH_PLOTS = """() => {
  const bench = (window.bench = { begun: null, times: [] });
  addEventListener("input", () => { bench.begun = performance.now(); }, true);
  for (const plot of document.querySelectorAll("[data-place=figures] .js-plotly-plot")) {
    plot.on("plotly_afterplot", () => {
      if (bench.begun === null) return;
      bench.times.push(performance.now() - bench.begun);
      bench.begun = null;
    });
  }
}"""


@dataclass
class Client:
    """A signed-in candidate who reads event streams line by line, as they come."""

    site: LiveSite
    cookies: dict[str, str]

    def post(self, path: str, form: Mapping[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=60)
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "X-CSRFToken": self.cookies["csrftoken"],
            "Content-Type": "application/x-www-form-urlencoded",
        }
        connection.request("POST", path, urlencode(form), headers)
        answer = connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(f"POST {path}: {answer.status} {answer.read()[:300]!r}")
        return answer

    def run(self, lab: str, values: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str], float]]:
        """(kind, data, seconds since the POST) of every event of a new run."""
        begun = time.perf_counter()
        answer = self.post(f"/labs/{lab}/runs", {**values, "fresh": "1", "slot": "bench"})
        kind = ""
        for line in answer:
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield kind, json.loads(line[6:]), time.perf_counter() - begun


def signed_in(site: LiveSite) -> Client:
    with requests.Session() as session:
        sign_in(session, site.url, PEOPLE[0].username, PEOPLE[0].password)
        session.get(f"{site.url}/labs/{CHEAP[0]}/").raise_for_status()
        return Client(site, session.cookies.get_dict())


def event_times_s(client: Client, runs: int) -> dict[str, list[float]]:
    """Seconds from the POST to the first event of each kind; "picture" is the first frame, or the result of a run without one."""
    times: dict[str, list[float]] = defaultdict(list)
    for seed in range(runs):
        first: dict[str, float] = {}
        for kind, _, seconds in client.run(CHEAP[0], {**CHEAP[1], "seed": str(seed)}):
            first.setdefault(kind, seconds)
        first["picture"] = min(first.get("frame", first["done"]), first["done"])
        for kind, seconds in first.items():
            times[kind].append(seconds)
    return times


def cancel_times_s(client: Client, lab: str, values: Mapping[str, str], cancels: int) -> list[float]:
    """Seconds from asking a running lab to stop until its worker says that it has; runs that ended first do not count."""
    times = []
    for seed in range(cancels):
        asked, cancel_url = 0.0, ""
        for kind, data, _ in client.run(lab, {**values, "seed": str(seed)}):
            cancel_url = data.get("cancel_url", cancel_url)
            if kind in {"progress", "frame"} and not asked:
                asked = time.perf_counter()
                client.post(cancel_url, {}).read()
            elif kind == "cancelled":
                times.append(time.perf_counter() - asked)
    return times


def slider_times_s(page: Page, url: str, steps: int) -> list[float]:
    """Seconds from a slider's `input` event until a figure of the page has been drawn anew, one step of the slider at a time."""
    page.goto(url)
    page.wait_for_selector("[data-place=figures] .js-plotly-plot svg")
    page.wait_for_load_state("networkidle")
    page.evaluate(WATCH_PLOTS)
    slider = page.locator("form[data-lab-form] input[type=range]:visible").first
    slider.focus()
    for _ in range(steps):
        page.keyboard.press("ArrowRight")  # always onwards: a value seen before would come from the cache
        wait_until(lambda: drawn(page), 30, lambda: "no picture came")
        page.wait_for_timeout(300)
    return [milliseconds / 1000 for milliseconds in page.evaluate("window.bench.times")]


def drawn(page: Page) -> bool:
    """Whether the picture of the last step is there."""
    page.wait_for_timeout(5)
    return bool(page.evaluate("window.bench.begun === null"))


def in_chromium(site: LiveSite, steps: int) -> list[float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page()
        found = slider_times_s(page, f"{site.url}/labs/{CHEAP[0]}/?{urlencode(CHEAP[1])}", steps)
        browser.close()
        return found


def main() -> None:
    with own_site() as site:
        client = signed_in(site)
        event_times_s(client, 10)  # builds the lab's world once
        events, slider = event_times_s(client, RUNS), in_chromium(site, STEPS)
        cancels = {lab: cancel_times_s(client, lab, values, CANCELS) for lab, values in LONG}
    named = {
        "POST -> accepted": events["queued"],
        "POST -> a worker has begun": events["started"],
        "POST -> first picture": events["picture"],
        "POST -> result": events["done"],
        "slider -> picture in Chromium": slider,
        **{f"cancel -> the worker has stopped ({lab})": times for lab, times in cancels.items()},
    }
    rows = [
        (name, len(times), *[f"{percentile_ms(times, q):.1f}" for q in (50, 95, 99)]) if times else (name, 0, "-", "-", "-")
        for name, times in named.items()
    ]
    print(f"Runs, unless said otherwise: {CHEAP[0]}, {CHEAP[1]['users']} users.\n")
    print(table(["from -> to", "n", "p50 (ms)", "p95 (ms)", "p99 (ms)"], rows))


if __name__ == "__main__":
    main()

"""The pool of lab questions: real runs of a small lab, one a step, cached, judged, handed out once a person."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.quiz import instances, tasks
from mlsd_app.quiz.bank import BankItem, Key, bank
from mlsd_app.quiz.models import Instance, Response, Sitting, SittingKind
from mlsd_app.quiz.questions import draw
from mlsd_app.quiz.questions.figure import truth_figures
from mlsd_app.quiz.questions.truths import checked_draws, truth_of
from mlsd_app.runs import channel
from mlsd_app.runs.forms import params_from_query
from mlsd_app.runs.models import StoredResult
from mlsd_app.runs.services import run_cached
from problems.quiz_schema import LabQuestion
from simulators.params import parse_params
from simulators.registry import get_lab
from tests.redis_server import RedisServer

QUICK: Key = ("experimentation", "exp.lab.rho_direction")  # a tenth of a second a run
NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.fixture
def entry(db: None, monkeypatch: pytest.MonkeyPatch) -> BankItem:
    """The quick item; nothing is asked of a worker."""
    monkeypatch.setattr(instances, "more_wanted", lambda key: False)
    return bank()[QUICK]


@pytest.fixture
def made(entry: BankItem) -> Instance:
    while instances.step(QUICK) == "ran":
        pass
    return Instance.objects.get()


def answered(user: User, instance: Instance) -> Response:
    sitting = Sitting.objects.create(user=user, kind=SittingKind.PROBLEM, items=[], content={}, seed=1, started_at=NOW)
    about = {"problem_slug": instance.problem_slug, "item_id": instance.item_id, "rev": instance.rev, "instance": instance}
    return Response.objects.create(user=user, sitting=sitting, place=0, draw_seed=1, at=NOW, op_id=uuid.uuid4().hex, **about)


# --- making ----------------------------------------------------------------------------------------------------------


def test_a_step_is_one_run_and_the_last_one_judges(entry: BankItem) -> None:
    item: Any = entry.item
    steps = []
    while not steps or steps[-1] == "ran":
        before = StoredResult.objects.count()
        steps.append(instances.step(QUICK))
        assert StoredResult.objects.count() - before <= 1
    assert steps == ["ran"] * (2 * item.seeds) + ["made"], "two settings, each with every seed"
    instance = Instance.objects.get()
    assert instance.usable and instance.truth["answer"] == "rise"
    assert instance.lab_version == get_lab(QUICK[0], item.lab).version and instance.seeds == [0, 1, 2]


def test_the_truth_can_be_computed_again(made: Instance, entry: BankItem) -> None:
    """Same parameters and seeds, cold cache: bit-equal."""
    first = dict(made.truth)
    Instance.objects.all().delete()
    StoredResult.objects.all().delete()
    while instances.step(QUICK) == "ran":
        pass
    again = Instance.objects.get()
    assert (again.key, again.truth) == (made.key, first)


def test_a_run_that_is_known_is_not_run_again(made: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first seed's results stay; whoever ran the others already has spared the worker that."""
    ran: list[int] = []
    original = instances._run
    monkeypatch.setattr(instances, "_run", lambda lab, setting, seed: (ran.append(seed), original(lab, setting, seed)))
    Instance.objects.all().delete()
    while instances.step(QUICK) == "ran":
        pass
    assert sorted(ran) == [1, 1, 2, 2]


def test_opening_the_lab_is_answered_from_the_cache(made: Instance) -> None:
    lab = get_lab(made.problem_slug, made.lab)
    links = instances.lab_links(made)
    assert [label for label, _ in links] == [option["label"] for option in made.options]
    assert links[0][0].endswith(" 0.8"), "a setting is named by what changes"
    for (_, address), option in zip(links, made.options, strict=True):
        params = parse_params(lab, params_from_query(lab, QueryDict(address.partition("?")[2])))
        assert params == parse_params(lab, {**made.params, **option["params"]})
        assert run_cached(user=AnonymousUser(), lab=lab, params=params) is not None
    assert StoredResult.objects.count() == len(made.run_keys) == 2, "later seeds have served"


def test_a_made_question_is_asked_and_marked(made: Instance, entry: BankItem) -> None:
    question = draw(entry.item, entry.problem, 3, made)
    assert question.mark(question.right()).mark == 1
    public = question.public()
    assert public["change"]["from"] == "0.8" and dict(public["settings"])
    assert "standard error" not in str(public)
    assert any("standard error" in reason.why for reason in question.mark(question.right()).reasons)


def test_the_figure_shows_what_the_runs_found(made: Instance, entry: BankItem) -> None:
    question = draw(entry.item, entry.problem, 3, made)
    (figure,) = truth_figures(question, made, question.right())
    (bars,) = figure.plot["data"]
    assert bars["y"] == pytest.approx([made.truth["before"], made.truth["after"]], rel=1e-5)
    assert bars["x"] == [option["label"] for option in made.options] and figure.plot["layout"]["yaxis"]["title"]["text"]


def test_figures_mark_what_was_answered(entry: BankItem) -> None:
    """Of each kind of question: the choice has a colour of its own, a number a line."""
    pick = question(ask="pick", change=None, metric="", target="ci_width <= 2", vary={"rho": [0.2, 0.5, 0.8]})
    verdict = truth_of(pick, runs([1.0, 1.1, 0.9], [3.0, 3.1, 2.9], [4.0, 4.1, 3.9]))
    options = [{"label": label, "params": {}} for label in ("low", "middle", "high")]
    held = Instance(problem_slug=QUICK[0], lab="readout", params={}, options=options, truth=verdict.truth)
    asked = draw(pick, entry.problem, 3, held)
    (figure,) = truth_figures(asked, held, asked.right())
    yours = next(trace for trace in figure.plot["data"] if trace["name"] == "your choice")
    assert (yours["x"], yours["y"]) == (["low"], [1.0])
    value = question(ask="value", change=None)
    held = Instance(problem_slug=QUICK[0], lab="readout", params={}, truth=truth_of(value, runs([10.0, 10.1, 9.9])).truth)
    (figure,) = truth_figures(draw(value, entry.problem, 3, held), held, {"text": "25 %"})
    assert [(line["label"]["text"], line["y0"]) for line in figure.plot["layout"]["shapes"]] == [
        ("mean", pytest.approx(10)),
        ("your answer", pytest.approx(25)),
    ]
    order = question(ask="order", change=None)
    found = truth_of(order, runs([3.0] * 3, [1.0] * 3, [2.0] * 3)).truth
    held = Instance(problem_slug=QUICK[0], lab="readout", params={}, options=options, truth=found)
    (figure,) = truth_figures(draw(order, entry.problem, 3, held), held, {"order": [0, 1, 2]})
    assert dict(zip(figure.plot["data"][0]["x"], figure.plot["data"][0]["y"], strict=True)) == {"low": 3, "middle": 1, "high": 2}


def test_settings_the_lab_refuses_are_kept_as_no_question(entry: BankItem, monkeypatch: pytest.MonkeyPatch) -> None:
    item: Any = entry.item
    bad = BankItem(entry.problem, item.model_copy(update={"base": {**item.base, "users": -1}, "vary": {}}))
    monkeypatch.setattr(instances, "bank_item", lambda *key: bad)
    assert instances.step(QUICK) == "made"
    refused = Instance.objects.get()
    assert not refused.usable and "-1" in refused.reason
    assert instances.step(QUICK) == "complete"


# --- handing out -----------------------------------------------------------------------------------------------------


def test_nobody_meets_an_instance_twice(made: Instance, entry: BankItem) -> None:
    ada, grace = (User.objects.create_user(name) for name in ("ada", "grace"))
    assert instances.instance_take(user=ada, entry=entry) == made
    assert instances.instance_take(user=ada, entry=entry, exclude=[made.pk]) is None
    answered(ada, made)
    assert instances.instance_take(user=ada, entry=entry) is None
    assert instances.instance_take(user=grace, entry=entry) == made


def test_a_new_version_of_the_lab_retires_the_pool(made: Instance, entry: BankItem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "send_step", lambda *args, **options: None)
    ada = User.objects.create_user("ada")
    answer = answered(ada, made)
    lab = get_lab(made.problem_slug, made.lab)
    monkeypatch.setattr(lab, "version", lab.version + 1)
    grace = User.objects.create_user("grace")
    assert instances.instance_take(user=grace, entry=entry) is None
    assert instances.retired_delete() == 0, "an answer keeps its instance"
    answer.delete()
    waiting = Sitting.objects.create(
        user=grace, kind=SittingKind.PROBLEM, items=[{"instance": made.pk}], content={}, seed=1, started_at=NOW
    )
    assert instances.retired_delete() == 0, "it still stands before somebody"
    waiting.delete()
    tasks.pool_refill_task()
    assert not Instance.objects.filter(pk=made.pk).exists(), "the night clears it"


def test_unusable_instances_are_not_handed_out(made: Instance, entry: BankItem) -> None:
    Instance.objects.update(usable=False)
    assert instances.instance_take(user=User.objects.create_user("ada"), entry=entry) is None


def test_another_item_stands_in(entry: BankItem) -> None:
    other = instances.stand_in(entry=entry, exclude=[])
    assert other and other.problem == entry.problem and other.item.type in ("choice", "number", "order", "slip")
    assert set(other.item.tags) & set(entry.item.tags)
    assert instances.stand_in(entry=entry, exclude=[other.key]) != other
    everything = [item.key for item in bank().values()]
    assert instances.stand_in(entry=entry, exclude=everything) is None


# --- the queue -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, settings: Any) -> Iterator[list[dict[str, Any]]]:
    settings.REDIS_URL = redis_server.url
    channel._connection.cache_clear()
    channel.connection().flushdb()
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(app, "send_task", lambda name, **options: calls.append({"name": name, **options}))
    yield calls
    channel._connection.cache_clear()


def test_a_wish_is_sent_once_behind_everything_else(db: None, sent: list[dict[str, Any]]) -> None:
    assert instances.more_wanted(QUICK) and not instances.more_wanted(QUICK)
    (call,) = sent
    assert (call["queue"], call["priority"], call["args"][0]) == ("batch", 9, list(QUICK))
    instances.made_enough(QUICK)
    assert instances.more_wanted(QUICK)


def test_a_chain_ends_with_its_question(db: None, sent: list[dict[str, Any]]) -> None:
    instances.more_wanted(QUICK)
    steps = 0
    while sent:
        tasks.instance_make_task(*sent.pop()["args"])
        steps += 1
    assert steps == 7 and Instance.objects.count() == 1
    assert instances.more_wanted(QUICK), "the next wish starts another chain"


def test_a_night_has_its_budget(db: None, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Key] = []
    monkeypatch.setattr(instances, "thinnest", lambda: QUICK)
    monkeypatch.setattr(instances, "step", lambda key: chosen.append(key) or "made")
    monkeypatch.setattr(instances, "STEPS_A_NIGHT", 9)
    tasks.pool_refill_task()
    while sent:
        tasks.instance_make_task(*sent.pop()["args"])
    assert chosen == [QUICK] * 9


def test_a_lab_that_measures_runs_where_nothing_disturbs_it(db: None, sent: list[dict[str, Any]]) -> None:
    for key, entry in bank().items():
        if isinstance(entry.item, LabQuestion):
            instances.send_step(key, 1)
            assert sent[-1]["queue"] == ("measure" if get_lab(key[0], entry.item.lab).exclusive else "batch")
    assert {call["queue"] for call in sent} == {"measure", "batch"}


def test_without_redis_nothing_is_promised(db: None) -> None:
    assert instances.more_wanted(QUICK) is False


def test_the_thinnest_pool_comes_first(made: Instance) -> None:
    first = instances.thinnest()
    assert first is not None and first != QUICK


# --- the verdict -----------------------------------------------------------------------------------------------------


def question(**fields: Any) -> LabQuestion:
    item: Any = bank()[QUICK].item
    return LabQuestion.model_validate({**item.model_dump(by_alias=True), **fields})


def runs(*settings: list[float], key: str = "ci_width", measured: bool = False) -> Any:
    row = {"key": key, "label": "Width", "unit": "%", "series": "", "measured": measured}
    return [[[{**row, "value": value}] for value in values] for values in settings]


@pytest.mark.parametrize(
    ("before", "after", "answer"),
    [
        ([1.0, 1.01, 0.99], [1.5, 1.52, 1.49], "rise"),
        ([1.5, 1.52, 1.49], [1.0, 1.01, 0.99], "fall"),
        ([1.0, 1.01, 0.99], [1.001, 1.011, 0.991], "same"),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], "same"),
        ([1.0, 1.3, 0.7], [1.1, 1.2, 0.9], None),  # one seed goes the other way
        ([1.0, 1.0, 1.0], [1.02, 1.3, 1.01], None),  # within three standard errors
        ([1.0, 1.01, 0.99], [1.012, 1.022, 1.0], None),  # between hardly and clearly
    ],
)
def test_a_direction_is_clear_or_no_question(before: list[float], after: list[float], answer: str | None) -> None:
    verdict = truth_of(question(), runs(before, after))
    assert verdict.usable == (answer is not None) and verdict.truth.get("answer") == answer
    assert verdict.usable or verdict.reason
    assert not truth_of(question(), runs(before, after, measured=True)).usable


def test_undefined_metrics_are_no_question() -> None:
    assert "undefined" in truth_of(question(), runs([1.0, 1.0, 1.0], [1.0, 1.0, None])).reason  # type: ignore[list-item]
    assert "undefined" in truth_of(question(metric="nowhere"), runs([1.0] * 3, [2.0] * 3)).reason


def test_a_value_is_known_within_a_tenth() -> None:
    value = question(ask="value", change=None)
    assert truth_of(value, runs([10.0, 10.1, 9.9])).truth["mean"] == pytest.approx(10)
    assert not truth_of(value, runs([10.0, 14.0, 7.0])).usable
    assert not truth_of(value, runs([10.0, 10.1, 9.9], measured=True)).usable
    assert not truth_of(value, runs([0.0, 10.1, 9.9])).usable


def test_an_order_has_clear_gaps_and_readings_double() -> None:
    order = question(ask="order", change=None)
    assert truth_of(order, runs([3.0, 3.1, 2.9], [1.0, 1.1, 0.9], [2.0, 2.1, 1.9])).truth["order"] == [1, 2, 0]
    assert not truth_of(order, runs([1.0, 1.4, 0.6], [1.1, 1.2, 0.9], [3.0, 3.0, 3.0])).usable
    assert truth_of(order, runs([1.0] * 3, [2.1] * 3, [4.3] * 3, measured=True)).usable
    assert not truth_of(order, runs([1.0] * 3, [1.8] * 3, [4.3] * 3, measured=True)).usable


def test_a_pick_has_one_setting_that_meets_the_target_with_a_margin() -> None:
    pick = question(ask="pick", change=None, metric="", target="ci_width <= 2", vary={"rho": [0.2, 0.5, 0.8]})
    clear = truth_of(pick, runs([1.0, 1.1, 0.9], [3.0, 3.1, 2.9], [4.0, 4.1, 3.9]))
    assert clear.usable and clear.truth["correct"] == 0
    assert "2 settings" in truth_of(pick, runs([1.0] * 3, [1.5] * 3, [4.0] * 3)).reason
    assert "0 settings" in truth_of(pick, runs([3.0] * 3, [3.5] * 3, [4.0] * 3)).reason
    assert "close" in truth_of(pick, runs([1.0] * 3, [2.2, 2.5, 1.9], [4.0] * 3)).reason
    assert not truth_of(pick, runs([1.0] * 3, [3.0] * 3, [4.0] * 3, measured=True)).usable


def test_an_equal_draw_has_an_equal_key_whatever_was_stored_between(entry: BankItem) -> None:
    item: Any = entry.item
    lab = get_lab(QUICK[0], item.lab)
    keys = [made.key(QUICK[0], item, lab) for made in checked_draws(item, lab)]
    assert keys == [made.key(QUICK[0], item, lab) for made in checked_draws(item, lab)] and len(set(keys)) == len(keys)
    raised = item.model_copy(update={"rev": item.rev + 1})
    assert not set(keys) & {made.key(QUICK[0], raised, lab) for made in checked_draws(raised, lab)}

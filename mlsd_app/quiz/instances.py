"""The pool of lab questions: instances with their numbers, made by runs of the labs in the background and handed out once a person.

Runs go through the ordinary cache of results, so the settings asked about open at once in their lab, and what a person ran already is
not run again. Work is cut into steps of at most one run: the queue it shares with housekeeping never waits longer than for one lab.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any, Literal

import redis
from django.db.models import Q, QuerySet
from kombu.exceptions import OperationalError

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.quiz.bank import BankItem, Key, bank, bank_item, items_of
from mlsd_app.quiz.models import Instance, Sitting, SittingStatus
from mlsd_app.quiz.questions.truths import Draw, Verdict, draws, truth_of
from mlsd_app.runs import channel
from mlsd_app.runs.models import StoredResult
from mlsd_app.runs.services import cache_key, queue_of, result_store
from mlsd_app.runs.tasks import assets
from mlsd_app.runs.views import lab_url
from problems.quiz_schema import LabQuestion
from simulators.driver import drive
from simulators.errors import InvalidInput
from simulators.lab import Context, Lab
from simulators.params import parse_params
from simulators.registry import get_lab

logger = logging.getLogger(__name__)
POOL = 20  # usable instances an item, or all that its template can make
FEWEST_UNSEEN = 5  # of one person, before more are made
MAKE_TASK = "quiz.instance_make"
LOWEST_PRIORITY = 9
STEPS_ASKED_FOR = 60  # runs that one person's wish for a question may cost at most
STEPS_A_NIGHT = 300  # at one to three seconds of CPU time a run, about ten minutes
ASKED_LATELY_S = 300  # one chain of work an item at a time; each step asks anew
EXPIRES_S = 3600  # of a step that no worker takes
Step = Literal["ran", "made", "complete"]


def current(entry: BankItem) -> QuerySet[Instance]:
    """Instances of the item as it is today: of this rev and this version of the lab. Older ones serve old answers only."""
    item = lab_item(entry)
    version = get_lab(entry.problem.slug, item.lab).version
    return Instance.objects.filter(problem_slug=entry.problem.slug, item_id=item.id, rev=item.rev, lab=item.lab, lab_version=version)


def lab_item(entry: BankItem) -> LabQuestion:
    if not isinstance(entry.item, LabQuestion):
        raise TypeError(f"{entry.item.id} is no lab question")
    return entry.item


def instance_take(*, user: User, entry: BankItem, exclude: Collection[int] = ()) -> Instance | None:
    """A question this person has not met, or None at once: then it is being made and another item is asked meanwhile.

    exclude  primary keys handed out but not answered yet
    """
    unseen = list(current(entry).filter(usable=True).exclude(responses__user=user).exclude(pk__in=exclude)[:FEWEST_UNSEEN])
    if len(unseen) < FEWEST_UNSEEN:
        more_wanted(entry.key)
    return unseen[0] if unseen else None


def stand_in(*, entry: BankItem, exclude: Collection[Key]) -> BankItem | None:
    """The item that is asked while a lab question has no numbers: marked by rule, of the same problem, the most tags in common."""
    others = [other for other in items_of(entry.problem.slug) if other.item.type in ("choice", "number", "order", "slip")]
    free = [other for other in others if other.key not in exclude]
    return max(free, key=lambda other: len(set(other.item.tags) & set(entry.item.tags)), default=None)


def more_wanted(key: Key) -> bool:
    """Asks the batch worker for one more instance; False when it has been asked lately or cannot be reached."""
    try:
        if not channel.connection().set(_asked_key(key), "1", nx=True, ex=ASKED_LATELY_S):
            return False
        send_step(key, STEPS_ASKED_FOR)
    except (redis.RedisError, OperationalError) as error:
        logger.warning("no lab questions can be made now: %s", error)
        return False
    return True


def send_step(key: Key, left: int, *, night: bool = False) -> None:
    """One step of work for the item, behind everything else on the queue where its lab may run."""
    entry = bank_item(*key)
    if not night:
        channel.connection().set(_asked_key(key), "1", ex=ASKED_LATELY_S)
    queue = queue_of(get_lab(entry.problem.slug, lab_item(entry).lab), sweep=True)
    app.send_task(MAKE_TASK, args=[list(key), left, night], queue=queue, priority=LOWEST_PRIORITY, expires=EXPIRES_S)


def made_enough(key: Key) -> None:
    """The chain for this item has ended; the next wish starts another."""
    channel.connection().delete(_asked_key(key))


def _asked_key(key: Key) -> str:
    return f"quiz:making:{':'.join(key)}"


# --- making ----------------------------------------------------------------------------------------------------------


def step(key: Key) -> Step:
    """At most one run towards the item's next instance.

    ran: one run more is known. made: an instance was added, usable or not. complete: the template or the pool has no more to give.
    """
    entry = bank_item(*key)
    item, lab = lab_item(entry), get_lab(entry.problem.slug, lab_item(entry).lab)
    draw = _next_draw(entry, item, lab)
    if draw is None:
        return "complete"
    try:
        missing = next(((setting, seed) for setting in draw.settings for seed in draw.seeds if _known(lab, setting, seed) is None), None)
        if missing:
            _run(lab, *missing)
            return "ran"
    except InvalidInput as error:
        logger.warning("%s is no question at these settings: %s", item.id, error.message)
        _keep(entry, item, lab, draw, Verdict(False, {}, error.message[:300]))
        return "made"
    _make(entry, item, lab, draw)
    return "made"


def thinnest() -> Key | None:
    """The lab question with the fewest usable instances whose template has more to give."""
    usable: dict[Key, int] = {}
    for entry in bank().values():
        if isinstance(entry.item, LabQuestion) and _next_draw(entry, entry.item, get_lab(entry.problem.slug, entry.item.lab)):
            usable[entry.key] = current(entry).filter(usable=True).count()
    return min(usable, key=lambda key: usable[key], default=None)


def _next_draw(entry: BankItem, item: LabQuestion, lab: type[Lab]) -> Draw | None:
    made = current(entry)
    if made.filter(usable=True).count() >= POOL:
        return None
    known = set(made.values_list("key", flat=True))
    return next((draw for draw in draws(item, lab) if draw.key(entry.problem.slug, item, lab) not in known), None)


def _known(lab: type[Lab], setting: dict[str, Any], seed: int) -> StoredResult | None:
    key = cache_key(lab=lab, params=parse_params(lab, setting), seed=seed, dataset=None)
    return StoredResult.objects.filter(cache_key=key, owner=None).defer("body").first()


def _run(lab: type[Lab], setting: dict[str, Any], seed: int) -> None:
    params = parse_params(lab, setting)
    key = cache_key(lab=lab, params=params, seed=seed, dataset=None)
    ctx = Context(seed=seed, assets=assets(), key_space=partial(channel.key_space, key[:32]))
    result = drive(lab(), params, ctx, emit=lambda step: None, cancelled=lambda: False)
    result_store(cache_key=key, result=result)


def _make(entry: BankItem, item: LabQuestion, lab: type[Lab], draw: Draw) -> None:
    """Judges the runs and keeps the instance. Results of later seeds have served; the first one's answer for who opens the lab."""
    found = [[_known(lab, setting, seed) for seed in draw.seeds] for setting in draw.settings]
    verdict = truth_of(item, [[row.metrics for row in setting if row] for setting in found])
    _keep(entry, item, lab, draw, verdict, tuple(setting[0].cache_key for setting in found if setting[0]))
    spent = [row.pk for setting in found for row in setting[1:] if row]
    StoredResult.objects.filter(pk__in=spent, runs=None).delete()


def _keep(entry: BankItem, item: LabQuestion, lab: type[Lab], draw: Draw, verdict: Verdict, run_keys: tuple[str, ...] = ()) -> None:
    Instance.objects.get_or_create(
        key=draw.key(entry.problem.slug, item, lab),
        defaults={
            "problem_slug": entry.problem.slug,
            "item_id": item.id,
            "rev": item.rev,
            "lab": lab.slug,
            "lab_version": lab.version,
            "params": draw.params,
            "seeds": list(draw.seeds),
            "options": list(draw.options),
            "truth": verdict.truth,
            "run_keys": list(run_keys),
            "usable": verdict.usable,
            "reason": verdict.reason,
        },
    )


# --- after the answer ------------------------------------------------------------------------------------------------


def lab_links(instance: Instance) -> list[tuple[str, str]]:
    """(label, address) of the lab at each setting of the question, which is answered from the cache: a page opens with seed 0."""
    lab = get_lab(instance.problem_slug, instance.lab)
    return [(option["label"], lab_url(lab, {**instance.params, **option["params"]})) for option in instance.options]


# --- upkeep ----------------------------------------------------------------------------------------------------------


def retired_delete() -> int:
    """Deletes instances of older labs and items that nobody has answered or still has before them; how many."""
    standing = Q(pk__in=held_open())
    for entry in bank().values():
        if isinstance(entry.item, LabQuestion):
            standing |= Q(pk__in=current(entry).values("pk"))
    return Instance.objects.exclude(standing).filter(responses=None).delete()[0]


def held_open() -> set[int]:
    """Instances that sittings not closed yet were given."""
    lists = Sitting.objects.filter(status=SittingStatus.OPEN).values_list("items", flat=True)
    return {row["instance"] for items in lists.iterator() for row in items if row.get("instance")}

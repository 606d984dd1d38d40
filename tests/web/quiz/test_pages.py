"""The pages: guests too, nobody else's quiz, nothing lost when something is refused, and nothing told before the answer."""

from __future__ import annotations

import html
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.quiz.bank import Key, bank, items_of
from mlsd_app.quiz.models import Card, CardState, Flag, Instance, Plan, Response, Sitting
from mlsd_app.quiz.served import served
from tests.api.test_quiz import secrets_of
from tests.web.quiz.conftest import CHOICE, EVERY_TYPE, FLASHCARD, FREE, LAB, NUMBER, ORDER, SLUG, begin, give, right

HTMX = {"hx-request": "true"}
PAGES = [reverse(f"quiz:{name}") for name in ("today", "plan", "stats", "readiness")] + [reverse("quiz:problem", args=[SLUG])]


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def sent(user: User, sitting: Sitting, place: int, **fields: Any) -> dict[str, Any]:
    """The right answer as the form sends it."""
    return {**right(sitting, place), "op_id": f"operation-{place}", "ms": "4000", "confidence": "sure", **fields}


# --- every page, for everybody ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", PAGES)
def test_pages_are_there_for_visitors_and_make_no_account(client: Client, db: None, url: str) -> None:
    assert client.get(url).status_code == 200
    assert not User.objects.exists()


@pytest.mark.parametrize("url", PAGES)
def test_pages_after_some_work(mine: Client, user: User, instance: Instance, url: str) -> None:
    now = timezone.now()
    Plan.objects.create(user=user, interview_date=(now + timedelta(days=9)).date())
    sitting = begin(user, *EVERY_TYPE, now=now)
    for place in range(len(EVERY_TYPE)):
        give(user, sitting, place, now=now, confidence="sure")
    page = mine.get(url)
    assert page.status_code == 200
    assert mine.get(reverse("quiz:done", args=[sitting.pk])).status_code == 200


@pytest.mark.parametrize("query", ["?type=choice", "?state=due", "?phase=capacity&state=new", "?type=nonsense"])
def test_questions_are_filtered(mine: Client, query: str) -> None:
    assert mine.get(PAGES[-1] + query).status_code == 200
    assert mine.get(reverse("quiz:problem", args=["no_such"])).status_code == 404


def test_a_guest_works_from_the_first_press(client: Client, db: None) -> None:
    started = client.post(reverse("quiz:start"))
    sitting = Sitting.objects.get()
    assert sitting.user.is_guest
    assert started["Location"] == reverse("quiz:session", args=[sitting.pk])
    assert client.get(started["Location"]).status_code == 200


def test_nothing_due_says_so(mine: Client, user: User) -> None:
    Plan.objects.create(user=user, new_limit=0)
    answer = mine.post(reverse("quiz:start"), follow=True)
    assert "Nothing is due now" in text_of(answer)
    assert not Sitting.objects.exists()


def test_a_passed_date_asks_for_a_new_one(mine: Client, user: User) -> None:
    Plan.objects.create(user=user, interview_date=(timezone.now() - timedelta(days=3)).date())
    assert "Set a new date" in text_of(mine.get(PAGES[0]))
    assert "has passed" in text_of(mine.get(PAGES[1]))


def test_too_many_questions_for_the_days_left_says_which_to_leave_out(mine: Client, user: User) -> None:
    Plan.objects.create(user=user, interview_date=(timezone.now() + timedelta(days=5)).date(), new_limit=5)
    assert "will stay unseen" in text_of(mine.get(PAGES[0]))


# --- the plan --------------------------------------------------------------------------------------------------------

FORM = {"interview_date": "", "minutes_a_day": "25", "new_limit": "", "desired_retention": "92", "timezone": "Europe/Berlin"}


def test_the_plan_is_saved(mine: Client, user: User) -> None:
    assert mine.post(PAGES[1], {**FORM, "scope": ["rag", SLUG]}).status_code == 302
    plan = Plan.objects.get(user=user)
    assert (plan.minutes_a_day, plan.desired_retention, plan.new_limit, sorted(plan.scope)) == (25, 0.92, None, ["rag", SLUG])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interview_date", "2001-01-01"),
        ("interview_date", "soon"),
        ("minutes_a_day", "many"),
        ("timezone", "Mars"),
        ("desired_retention", ""),
    ],
)
def test_a_wrong_field_keeps_what_was_typed(mine: Client, field: str, value: str) -> None:
    page = mine.post(PAGES[1], {**FORM, "minutes_a_day": "37", "scope": ["rag"], field: value})
    text = text_of(page)
    assert page.status_code == 422
    assert 'class="field-error"' in text
    assert f'value="{value}"' in text
    assert field == "minutes_a_day" or 'value="37"' in text
    assert not Plan.objects.exists()


# --- a session -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EVERY_TYPE, ids=lambda key: bank()[key].item.type)
def test_a_question_is_answered_with_and_without_a_script(mine: Client, user: User, instance: Instance, key: Key) -> None:
    for headers in ({}, HTMX):
        sitting = begin(user, key, CHOICE if key != CHOICE else NUMBER, now=timezone.now(), schedules=False, seed=3)
        sitting.items[0]["instance"] = instance.pk if key == LAB else None
        sitting.content["/".join(key)] = bank()[key].item.model_dump(mode="json", by_alias=True)
        sitting.items[0]["item"] = key[1]
        sitting.save()
        page = mine.get(reverse("quiz:session", args=[sitting.pk]))
        assert page.status_code == 200
        if bank()[key].item.type in ("flashcard", "free"):
            revealed = mine.post(reverse("quiz:reveal", args=[sitting.pk, 0]), {"text": "what I know"}, headers=headers, follow=True)
            assert secrets_of(key)[1] in text_of(revealed)
        answered = mine.post(
            reverse("quiz:answer", args=[sitting.pk, 0]),
            sent(user, sitting, 0, rating="3", op_id=f"op-{len(headers)}-{key[1]}"[:40]),
            headers=headers,
        )
        assert answered.status_code == 200, text_of(answered)
        assert bank()[key].item.explain in text_of(answered)
        assert ("<html" in text_of(answered)) == (not headers)
        assert ("What the runs found" in text_of(answered)) == (key == LAB)
        assert mine.get(reverse("quiz:question", args=[sitting.pk]), headers=headers, follow=True).status_code == 200


def test_an_unreadable_number_shows_the_question_again_with_what_was_typed(mine: Client, user: User) -> None:
    sitting = begin(user, NUMBER, now=timezone.now())
    page = mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), sent(user, sitting, 0, text="85,9 GB"), headers=HTMX)
    assert page.status_code == 422
    assert 'value="85,9 GB"' in text_of(page)
    assert "not an attempt" in text_of(page)
    assert not Response.objects.exists()


def test_typed_numbers_are_read_back(mine: Client, user: User) -> None:
    sitting = begin(user, NUMBER, now=timezone.now())
    url = reverse("quiz:read", args=[sitting.pk, 0])
    assert "80 GB" in json.loads(mine.get(url, {"text": "80 GB"}).content)["read"]
    assert json.loads(mine.get(url, {"text": "80 G"}).content)["error"]
    assert mine.get(reverse("quiz:read", args=[sitting.pk, 9]), {"text": "1 GB"}).status_code == 404


@pytest.mark.parametrize("fields", [{"picked": ["x"]}, {"picked": []}, {"order": ["0", "0"]}, {"op_id": "x"}, {"confidence": "maybe"}])
def test_nonsense_is_no_attempt(mine: Client, user: User, fields: dict[str, Any]) -> None:
    sitting = begin(user, CHOICE, now=timezone.now())
    data = {**sent(user, sitting, 0), **fields} if "order" not in fields else {**fields, "op_id": "operation-1"}
    assert mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), data, headers=HTMX).status_code == 422
    assert not Response.objects.exists()


def test_a_second_tab_is_told_that_it_came_second(mine: Client, user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, now=timezone.now())
    url = reverse("quiz:answer", args=[sitting.pk, 0])
    mine.post(url, sent(user, sitting, 0))
    second = mine.post(url, sent(user, sitting, 0, op_id="another-tab"), headers=HTMX)
    assert second.status_code == 409
    assert "answered already" in text_of(second)


def test_undo_and_easy(mine: Client, user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, now=timezone.now())
    mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), sent(user, sitting, 0))
    row = Response.objects.get()
    easy = mine.post(reverse("quiz:easy", args=[row.pk]), headers=HTMX)
    assert "Rated easy" in text_of(easy)
    undone = mine.post(reverse("quiz:undo", args=[row.pk]), {"from": "session"}, headers=HTMX)
    assert undone.status_code == 200
    assert bank()[CHOICE].item.stem[:40] in text_of(undone)
    assert Card.objects.get().state == CardState.NEW


def test_a_hint_costs_the_good_rating(mine: Client, user: User) -> None:
    sitting = begin(user, NUMBER, now=timezone.now())
    hint = bank()[NUMBER].item.hint
    assert hint not in text_of(mine.get(reverse("quiz:session", args=[sitting.pk])))
    assert hint in text_of(mine.post(reverse("quiz:hint", args=[sitting.pk, 0]), headers=HTMX))
    mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), sent(user, sitting, 0))
    assert (Response.objects.get().rating, Response.objects.get().hints_used) == (2, 1)


def test_the_last_answer_leads_to_the_summary(mine: Client, user: User) -> None:
    sitting = begin(user, CHOICE, now=timezone.now())
    done = reverse("quiz:done", args=[sitting.pk])
    assert mine.get(done)["Location"] == reverse("quiz:session", args=[sitting.pk]), "not before"
    mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), sent(user, sitting, 0))
    assert mine.get(reverse("quiz:session", args=[sitting.pk]))["Location"] == done
    assert mine.get(reverse("quiz:question", args=[sitting.pk]), headers=HTMX)["HX-Redirect"] == done
    assert "Mean mark" in text_of(mine.get(done))


def test_a_sitting_may_be_ended_and_is_then_over(mine: Client, user: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, now=timezone.now())
    assert mine.post(reverse("quiz:close", args=[sitting.pk]))["Location"] == reverse("quiz:done", args=[sitting.pk])
    late = mine.post(reverse("quiz:answer", args=[sitting.pk, 0]), sent(user, sitting, 0), headers=HTMX)
    assert (late.status_code, Response.objects.count()) == (409, 0)
    assert "Nothing was answered" in text_of(mine.get(reverse("quiz:done", args=[sitting.pk])))


def test_practice_of_a_subset(mine: Client, user: User) -> None:
    url = reverse("quiz:practise", args=[SLUG])
    assert mine.post(url, {"item": [CHOICE[1], NUMBER[1]]}).status_code == 302
    sitting = Sitting.objects.get()
    assert ([row["item"] for row in sitting.items], sitting.schedules) == ([CHOICE[1], NUMBER[1]], False)
    mine.post(url, {"item": [CHOICE[1]], "counts": "1"})
    assert Sitting.objects.latest("started_at").schedules
    assert mine.post(url, {}).status_code == 302
    assert mine.post(url, {"item": ["no.such"]}).status_code == 302
    assert Sitting.objects.count() == 2


def test_others_sittings_do_not_exist(client: Client, user: User, other: User) -> None:
    sitting = begin(user, CHOICE, NUMBER, now=timezone.now())
    row = give(user, sitting, 0, now=timezone.now())
    client.force_login(other)
    for name in ("session", "question", "done"):
        assert client.get(reverse(f"quiz:{name}", args=[sitting.pk])).status_code == 404
    for name in ("answer", "reveal", "hint"):
        assert client.post(reverse(f"quiz:{name}", args=[sitting.pk, 1])).status_code == 404
    for name in ("undo", "easy"):
        assert client.post(reverse(f"quiz:{name}", args=[row.pk])).status_code == 404
    assert client.post(reverse("quiz:close", args=[sitting.pk])).status_code == 404


def test_cards_are_suspended_from_the_list(mine: Client, user: User) -> None:
    give(user, begin(user, CHOICE, now=timezone.now()), 0, now=timezone.now())
    url = reverse("quiz:card", args=[SLUG])
    back = f"{PAGES[-1]}?state=active"
    assert mine.post(url, {"item": CHOICE[1], "action": "suspend", "next": back})["Location"] == back
    assert Card.objects.get().state == CardState.SUSPENDED
    assert mine.post(url, {"item": CHOICE[1], "action": "resume", "next": "https://elsewhere.example/"})["Location"] == PAGES[-1]
    assert mine.post(url, {"item": CHOICE[1], "action": "burn"}).status_code == 422


def test_a_question_is_reported(mine: Client, user: User) -> None:
    url, fields = reverse("quiz:flag"), {"slug": SLUG, "item_id": CHOICE[1], "kind": "unclear", "text": "Which k?"}
    assert "Thank you" in text_of(mine.post(url, fields, headers=HTMX))
    assert mine.post(url, {**fields, "kind": "rude"}, headers=HTMX).status_code == 422
    assert mine.post(url, {**fields, "item_id": "no.such"}, headers=HTMX).status_code == 422
    assert Flag.objects.count() == 1
    Flag.objects.update(status=Flag.Status.ANSWERED, answer="k is 10.")
    assert "k is 10." in text_of(mine.get(PAGES[0]))


# --- no answer before the response -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EVERY_TYPE, ids=lambda key: bank()[key].item.type)
def test_no_page_tells_the_answer_before_it_is_given(mine: Client, user: User, instance: Instance, key: Key) -> None:
    sitting = begin(user, key, now=timezone.now())
    pages = [reverse("quiz:session", args=[sitting.pk]), *PAGES, f"{PAGES[-1]}?type={bank()[key].item.type}"]
    text = " ".join(text_of(mine.get(page)) for page in pages)
    assert [secret for secret in secrets_of(key) if secret in text] == []
    assert "data-correct" not in text
    assert key != LAB or str(instance.truth["difference"]) not in text


def test_the_bank_is_listed_whole_and_tells_nothing(mine: Client) -> None:
    for slug in sorted({slug for slug, _ in bank()}):
        text = text_of(mine.get(reverse("quiz:problem", args=[slug])))
        for entry in items_of(slug):
            assert entry.item.id in text
            assert [secret for secret in secrets_of(entry.key) if secret in text] == [], entry.key


def test_the_export_holds_what_was_done_and_no_answers_to_come(user: User) -> None:
    from mlsd_app.accounts.export import _row

    sitting = begin(user, CHOICE, FREE, ORDER, FLASHCARD, now=timezone.now())
    row = give(user, sitting, 0, now=timezone.now())
    text = json.dumps([_row(sitting), _row(row)], default=str)
    assert row.op_id in text
    assert [secret for key in (FREE, ORDER, FLASHCARD) for secret in secrets_of(key) if secret in text] == []
    assert served(sitting, 1).item.id in text

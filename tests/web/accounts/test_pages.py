"""Account pages as a browser meets them: sign-up, sign-in, guests, passwords, tokens, deletion."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from mlsd_app.accounts.models import Accommodation, ApiToken, User
from mlsd_app.accounts.services import token_create
from mlsd_app.runs.models import Run
from tests.web.accounts.conftest import PASSWORD, run_of

SIGN_UP = {"username": "grace", "email": "grace@example.com", "password1": "correct horse staple"}


@pytest.fixture
def browser(guest: User) -> Client:
    """A guest's browser."""
    client = Client()
    client.force_login(guest, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def member(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def signed_in(client: Client) -> User | None:
    pk = client.session.get("_auth_user_id")
    return User.objects.filter(pk=pk).first() if pk else None


# --- signing up and in -----------------------------------------------------------------------------------------------------


def test_sign_up_without_an_address(client: Client) -> None:
    response = client.post("/account/signup/", {"username": "grace", "password1": "correct horse staple"})
    assert response.status_code == 302
    made = User.objects.get()
    assert (made.username, made.is_guest) == ("grace", False)
    assert signed_in(client) == made
    assert not mail.outbox, "signing up sends nothing"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("username", "ada", "already exists"),
        ("username", "grace@example.com", "has no @"),
        ("username", "guest-1", "belong to visitors"),
        ("username", "a", "at least 3"),
        ("username", "a\x00bc", "Null characters"),
        ("password1", "short", "at least 10"),
        ("password1", "password123", "too common"),
        ("email", "no address", "valid email"),
    ],
)
def test_what_sign_up_refuses_and_says(client: Client, user: User, field: str, value: str, words: str) -> None:
    response = client.post("/account/signup/", {**SIGN_UP, field: value})
    assert words in response.content.decode()
    assert 'aria-invalid="true"' in response.content.decode()
    assert set(User.objects.all()) == {user}


def test_a_guest_who_signs_up_keeps_the_same_row_and_everything_in_it(browser: Client, guest: User) -> None:
    run = run_of(guest)
    assert b"Keep your work" in browser.get("/account/signup/").content
    assert browser.post("/account/signup/", SIGN_UP).status_code == 302
    guest.refresh_from_db()
    assert (guest.username, guest.email, guest.is_guest) == ("grace", "grace@example.com", False)
    assert guest.check_password("correct horse staple")
    assert signed_in(browser) == guest
    run.refresh_from_db()
    assert run.user == guest
    assert User.objects.count() == 1


def test_a_refused_sign_up_leaves_the_guest_a_guest(browser: Client, guest: User) -> None:
    browser.post("/account/signup/", {**SIGN_UP, "password1": "short"})
    guest.refresh_from_db()
    assert guest.is_guest
    assert signed_in(browser) == guest


@pytest.mark.parametrize("login", ["ada", "ADA@example.com"])
def test_a_guest_who_signs_in_brings_their_work(browser: Client, guest: User, user: User, login: str) -> None:
    User.objects.filter(pk=user.pk).update(email="ada@example.com")
    run, own = run_of(guest), run_of(user)
    browser.post("/account/login/", {"login": login, "password": PASSWORD})
    assert signed_in(browser) == user
    assert set(Run.objects.filter(user=user)) == {run, own}
    assert not User.objects.filter(pk=guest.pk).exists()


def test_a_wrong_password_moves_nothing(browser: Client, guest: User, user: User) -> None:
    run = run_of(guest)
    response = browser.post("/account/login/", {"login": "ada", "password": "wrong"})
    assert b"not correct" in response.content
    run.refresh_from_db()
    assert run.user == guest == signed_in(browser)


def test_a_member_is_not_asked_to_sign_in_or_up(member: Client) -> None:
    for path in ("/account/login/", "/account/signup/"):
        assert member.get(path)["Location"] == "/account/"


def test_one_member_does_not_absorb_another(member: Client, user: User, other: User) -> None:
    """Only guests are merged: a member's session that is replaced leaves that member's work alone."""
    run = run_of(user)
    member.post("/account/login/", {"login": "bob", "password": PASSWORD})
    run.refresh_from_db()
    assert run.user == user


def test_guessing_passwords_is_stopped(client: Client, user: User) -> None:
    for _ in range(6):
        client.post("/account/login/", {"login": "ada", "password": "wrong"})
    response = client.post("/account/login/", {"login": "ada", "password": PASSWORD})
    assert b"Too many failed login attempts" in response.content
    assert signed_in(client) is None


def test_signing_out(member: Client) -> None:
    assert b"stays in your account" in member.get("/account/logout/").content
    member.post("/account/logout/")
    assert signed_in(member) is None


def test_a_guest_is_warned_before_signing_out(browser: Client) -> None:
    assert b"nobody can reach your work again" in browser.get("/account/logout/").content


# --- passwords and addresses -----------------------------------------------------------------------------------------------


def test_a_forgotten_password(client: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="ada@example.com")
    client.post("/account/password/reset/", {"email": "ada@example.com"})
    link = re.search(r"http://testserver(/account/password/reset/key/\S+)", str(mail.outbox[0].body))
    assert link is not None
    page = client.get(link[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": "a new long phrase", "password2": "a new long phrase"})
    user.refresh_from_db()
    assert user.check_password("a new long phrase")
    assert b"does not work any more" in client.get(link[1], follow=True).content


def test_an_unknown_address_is_answered_alike(client: Client, user: User) -> None:
    known = client.post("/account/password/reset/", {"email": "ada@example.com"})
    unknown = client.post("/account/password/reset/", {"email": "nobody@example.com"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


def test_changing_the_password(member: Client, user: User) -> None:
    form = {"oldpassword": PASSWORD, "password1": "a new long phrase", "password2": "a new long phrase"}
    assert member.post("/account/password/change/", form)["Location"] == "/account/"
    user.refresh_from_db()
    assert user.check_password("a new long phrase")
    assert signed_in(member) == user


def test_a_new_address_counts_once_confirmed(member: Client, user: User) -> None:
    member.post("/account/email/", {"email": "new@example.com", "action_add": ""})
    user.refresh_from_db()
    assert user.email == ""
    link = re.search(r"http://testserver(/account/confirm-email/\S+)", str(mail.outbox[0].body))
    assert link is not None
    assert b"Confirm" in member.get(link[1]).content
    member.post(link[1])
    user.refresh_from_db()
    assert user.email == "new@example.com"


def test_a_guest_who_opens_such_a_link_signs_in_first_and_keeps_the_work(member: Client, browser: Client, guest: User, user: User) -> None:
    run = run_of(guest)
    member.post("/account/email/", {"email": "new@example.com", "action_add": ""})
    link = re.search(r"http://testserver(/account/confirm-email/\S+)", str(mail.outbox[0].body))
    assert link is not None
    response = browser.get(link[1])
    assert response["Location"].startswith("/account/login/?next=/account/confirm-email/")
    assert signed_in(browser) == guest
    browser.post(response["Location"], {"login": "ada", "password": PASSWORD})
    browser.post(link[1])
    run.refresh_from_db()
    user.refresh_from_db()
    assert (run.user, user.email) == (user, "new@example.com")


def test_a_mail_server_that_is_away_fails_no_page(client: Client, user: User, settings: Any) -> None:
    User.objects.filter(pk=user.pk).update(email="ada@example.com")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1
    response = client.post("/account/password/reset/", {"email": "ada@example.com"}, follow=True)
    assert b"could not be sent" in response.content


@pytest.mark.parametrize("path", ["/account/email/", "/account/password/change/", "/account/password/set/", "/account/tokens/"])
def test_a_guest_is_sent_to_sign_up_where_an_account_is_needed(browser: Client, path: str) -> None:
    assert browser.get(path)["Location"] == "/account/signup/"


@pytest.mark.parametrize("path", ["/account/", "/account/delete/", "/account/tokens/", "/account/email/", "/account/export"])
def test_a_visitor_is_sent_to_sign_in(client: Client, db: None, path: str) -> None:
    assert client.get(path)["Location"].startswith("/account/login/")


# --- overview, tokens, deletion --------------------------------------------------------------------------------------------


def test_the_overview(member: Client, browser: Client) -> None:
    assert b"ada" in member.get("/account/").content
    guest_page = browser.get("/account/").content
    assert b"Keep your work" in guest_page
    assert b"API tokens</a> <span" not in guest_page


def test_a_token_is_shown_once(member: Client, user: User) -> None:
    page = member.post("/account/tokens/", {"name": "notebook"}).content.decode()
    secret = re.search(r"l45_[\w-]{43}", page)
    assert secret is not None
    again = member.get("/account/tokens/").content.decode()
    assert secret[0] not in again
    assert "notebook" in again
    assert member.post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke").status_code == 302
    assert not ApiToken.objects.exists()


def test_nobody_revokes_the_token_of_another(member: Client, other: User) -> None:
    token, _ = token_create(user=other, name="theirs")
    assert member.post(f"/account/tokens/{token.pk}/revoke").status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_a_member_deletes_the_account_by_password(member: Client, user: User) -> None:
    run_of(user)
    refused = member.post("/account/delete/", {"password": "wrong"})
    assert refused.status_code == 422
    assert User.objects.filter(pk=user.pk).exists()
    assert member.post("/account/delete/", {"password": PASSWORD}).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists()
    assert not Run.objects.exists()
    assert "_auth_user_id" not in member.session


def test_a_guest_deletes_everything_by_a_word(browser: Client, guest: User) -> None:
    assert browser.post("/account/delete/", {"word": "yes"}).status_code == 422
    assert browser.post("/account/delete/", {"word": "Delete"}).status_code == 302
    assert not User.objects.exists()


# --- staff -----------------------------------------------------------------------------------------------------------------


def test_staff_sign_in_where_everyone_does(client: Client, user: User) -> None:
    assert client.get("/staff/", follow=True).redirect_chain[-1][0].startswith("/account/login/")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/staff/login/").status_code == 403
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    token_create(user=user, name="notebook")
    for path in ("/staff/accounts/user/", "/staff/accounts/apitoken/", f"/staff/accounts/user/{user.pk}/change/"):
        assert client.get(path).status_code == 200


# --- timed rounds ----------------------------------------------------------------------------------------------------------

WISHES = {"multiplier": "1.5", "extra_min": "5", "break_min": "10", "hide_timer": "on"}


@pytest.mark.django_db
def test_a_guest_sets_what_they_need_in_a_timed_round(browser: Client, guest: User) -> None:
    assert browser.get("/account/timing/").status_code == 200
    assert browser.post("/account/timing/", WISHES).status_code == 302
    wish = Accommodation.objects.get(user=guest)
    assert (wish.multiplier, wish.extra_s, wish.break_s, wish.hide_timer, wish.reduced_motion) == (1.5, 300, 600, True, False)
    browser.post("/account/timing/", {**WISHES, "extra_min": "0", "hide_timer": ""})
    wish.refresh_from_db()
    assert (wish.extra_s, wish.hide_timer) == (0, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [{"multiplier": "0.5"}, {"multiplier": "5"}, {"multiplier": "nan"}, {"extra_min": "-1"}, {"break_min": "121"}, {"extra_min": ""}],
)
def test_time_out_of_range_is_told_and_nothing_is_stored(browser: Client, guest: User, wrong: dict[str, str]) -> None:
    answer = browser.post("/account/timing/", {**WISHES, **wrong})
    assert answer.status_code == 422 and "field-error" in answer.content.decode()
    assert not Accommodation.objects.filter(user=guest).exists()

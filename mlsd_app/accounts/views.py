"""The account pages that are ours. Sign-in, passwords and e-mail addresses are allauth's views with our templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from allauth.account import views as allauth_views
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.accounts.deletion import account_delete
from mlsd_app.accounts.export import export_document
from mlsd_app.accounts.forms import AccommodationForm, DeleteAccountForm, TokenForm
from mlsd_app.accounts.models import User
from mlsd_app.accounts.selectors import accommodation_of, has_account, tokens_of
from mlsd_app.accounts.services import token_create, token_revoke
from simulators.errors import InvalidInput

View = Callable[..., HttpResponseBase]


# --- allauth's views, opened to guests or closed to them --------------------------------------------------------------


def for_visitors(view: View) -> View:
    """Sign-up and sign-in: also for guests, who are signed in technically; a member is sent to their account."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("accounts:overview") if has_account(request.user) else view(request, *args, **kwargs)

    return wrapped


def for_members(view: View) -> View:
    """Password and address: a guest has neither and is shown how to get them."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("account_signup") if isinstance(request.user, User) and request.user.is_guest else view(request, *args, **kwargs)

    return login_required(wrapped)


def guests_sign_in_first(view: View) -> View:
    """allauth signs out whoever opens the link of another account; a guest would lose their work by that."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        guest = isinstance(request.user, User) and request.user.is_guest
        return redirect_to_login(request.get_full_path()) if guest else view(request, *args, **kwargs)

    return wrapped


sign_up = for_visitors(allauth_views.signup)
sign_in = for_visitors(allauth_views.login)
email = for_members(allauth_views.email)
password_change = for_members(allauth_views.password_change)
password_set = for_members(allauth_views.password_set)
email_confirm = guests_sign_in_first(allauth_views.confirm_email)


# --- overview, export, deletion ----------------------------------------------------------------------------------------


@require_GET
@never_cache
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    return render(request, "accounts/overview.html", {"token_count": tokens_of(user=user).count()})


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def accommodation(request: HttpRequest) -> HttpResponse:
    """What the person needs in timed rounds; guests may set it too."""
    form = AccommodationForm(request.POST or None, instance=accommodation_of(user=cast(User, request.user)))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved. It holds for every round you start from now on.")
        return redirect("accounts:accommodation")
    return render(request, "accounts/accommodation.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
async def export(request: HttpRequest) -> HttpResponseBase:
    """Everything of the user's as a JSON file, written as it is sent."""
    user = await request.auser()
    if not isinstance(user, User):
        return redirect("account_login")
    name = f"loop45-{user.username}-{timezone.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(export_document(user), content_type="application/json", headers=headers)


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password")
@login_required
def delete(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    form = DeleteAccountForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        account_delete(user=user)
        logout(request)
        messages.success(request, "Your account and everything in it was deleted.")
        return redirect("/")
    return render(request, "accounts/delete.html", {"form": form}, status=422 if form.errors else 200)


# --- API tokens ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@never_cache
@for_members
def tokens(request: HttpRequest) -> HttpResponse:
    """The list, and the form. A new token's secret stands in the answer to the POST and nowhere else."""
    user = cast(User, request.user)
    form, secret = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            _, secret = token_create(user=user, name=form.cleaned_data["name"])
            form = TokenForm()
        except InvalidInput as error:
            form.add_error(error.field, error.message)
    context = {"form": form, "secret": secret, "tokens": tokens_of(user=user)}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@for_members
def token_delete(request: HttpRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(tokens_of(user=cast(User, request.user)), pk=token_id)
    token_revoke(token=token)
    messages.success(request, f"The token {token.name} was revoked.")
    return redirect("accounts:tokens")

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from mlsd_app.accounts import views

own = [
    path("", views.overview, name="overview"),
    path("timing/", views.accommodation, name="accommodation"),
    path("export", views.export, name="export"),
    path("delete/", views.delete, name="delete"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke", views.token_delete, name="token_delete"),
]

# allauth's names carry no namespace; ours stand first where guests need another rule than allauth's
urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((own, "accounts"))),
    path("signup/", views.sign_up, name="account_signup"),
    path("login/", views.sign_in, name="account_login"),
    path("email/", views.email, name="account_email"),
    path("confirm-email/<str:key>/", views.email_confirm, name="account_confirm_email"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("", include("allauth.account.urls")),
]

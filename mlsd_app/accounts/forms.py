"""allauth's forms with our words, and the small forms of our own pages."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import LoginForm, SignupForm
from django import forms

from mlsd_app.accounts.models import User

DELETE_WORD = "delete"


class SignInForm(LoginForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "User name or e-mail"
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["password"].help_text = ""  # the page has the link


class SignUpForm(SignupForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "User name"
        self.fields["email"].label = "E-mail (optional)"
        self.fields["email"].help_text = "Only for resetting a forgotten password. Nothing else is sent."
        self.fields["password1"].help_text = "At least 10 characters, not a common password, not your name."


class DeleteAccountForm(forms.Form):
    """Asks for the password; a guest, who has none, types a word."""

    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), strip=False)
    word = forms.CharField(label=f"Type {DELETE_WORD} to confirm", widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        del self.fields["word" if user.has_usable_password() else "password"]

    def clean_password(self) -> str:
        given: str = self.cleaned_data["password"]
        if not self.user.check_password(given):
            raise forms.ValidationError("This is not your password. Nothing was deleted.")
        return given

    def clean_word(self) -> str:
        given: str = self.cleaned_data["word"]
        if given.lower() != DELETE_WORD:
            raise forms.ValidationError(f"Type the word {DELETE_WORD}. Nothing was deleted.")
        return given


class TokenForm(forms.Form):
    name = forms.CharField(label="Name", max_length=80, help_text="What it is for, such as nightly notebook.")

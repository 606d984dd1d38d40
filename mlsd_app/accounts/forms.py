"""allauth's forms with our words, and the small forms of our own pages."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.http import QueryDict

from mlsd_app.accounts.models import Accommodation, User

DELETE_WORD = "delete"
WORDS = {  # field: (label, help)
    "login": ("User name or e-mail", ""),
    "username": ("User name", "Letters, digits and . + - _"),
    "email": ("E-mail", ""),
    "password": ("Password", ""),
    "oldpassword": ("Present password", ""),
    "password1": ("New password", "At least 10 characters, not a common password, not like your name."),
    "password2": ("New password again", ""),
}


class Worded(forms.Form):
    """Labels and help of ours; no placeholder that repeats the label and vanishes on the first letter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label, field.help_text = WORDS.get(name, (field.label, field.help_text))
            field.widget.attrs.pop("placeholder", None)


class SignInForm(Worded, allauth_forms.LoginForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs["autocomplete"] = "username"


class SignUpForm(Worded, allauth_forms.SignupForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail (optional)"
        self.fields["email"].help_text = "For resetting a forgotten password; nothing else is sent to it."
        self.fields["password1"].label = "Password"


class EmailForm(Worded, allauth_forms.AddEmailForm):  # type: ignore[misc]
    pass


class ChangePasswordForm(Worded, allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    pass


class SetPasswordForm(Worded, allauth_forms.SetPasswordForm):  # type: ignore[misc]
    pass


class ResetPasswordForm(Worded, allauth_forms.ResetPasswordForm):  # type: ignore[misc]
    pass


class ResetPasswordKeyForm(Worded, allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    pass


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


class AccommodationForm(forms.ModelForm):  # type: ignore[type-arg]
    """What somebody needs in a timed round. Minutes on the page, seconds in the row."""

    extra_min = forms.IntegerField(
        label="Extra minutes",
        min_value=0,
        max_value=120,
        help_text="Added to every round, spread over its phases in proportion.",
    )
    break_min = forms.IntegerField(
        label="Break minutes",
        min_value=0,
        max_value=120,
        help_text="For a round as a whole. The clock stands in a break, which you may take in several parts.",
    )

    class Meta:
        model = Accommodation
        fields = ("multiplier", "hide_timer", "no_low_time_alerts", "reduced_motion", "keyboard_canvas")
        labels = {
            "multiplier": "Time factor",
            "hide_timer": "Hide the timer",
            "no_low_time_alerts": "No low-time alerts",
            "reduced_motion": "Reduced motion",
            "keyboard_canvas": "Lists instead of drawing",
        }
        help_texts = {
            "multiplier": "1 is the usual time, 1.5 half as much again; at most 4. Events of the round move with it.",
            "hide_timer": "The clocks start hidden; you can show them at any time.",
            "no_low_time_alerts": "Nothing is announced when a fifth and a twentieth of the time are left.",
            "reduced_motion": "Nothing moves in the room, whatever your system says.",
            "keyboard_canvas": "Components and connections are entered in lists, by keyboard alone.",
        }
        widgets = {"multiplier": forms.NumberInput(attrs={"min": 1, "max": 4, "step": 0.05, "inputmode": "decimal"})}

    field_order = ("multiplier", "extra_min", "break_min")

    def __init__(self, data: QueryDict | None = None, *, instance: Accommodation) -> None:
        minutes = {"extra_min": instance.extra_s // 60, "break_min": instance.break_s // 60}
        super().__init__(data, instance=instance, initial=minutes)

    def save(self, commit: bool = True) -> Accommodation:
        self.instance.extra_s, self.instance.break_s = self.cleaned_data["extra_min"] * 60, self.cleaned_data["break_min"] * 60
        saved: Accommodation = super().save(commit)
        return saved

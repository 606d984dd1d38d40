"""People. A guest is a user without a password whose work is kept when they sign up."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class User(AbstractUser):
    is_guest = models.BooleanField(default=False)

    export_exclude = ("password",)

    @property
    def shown_name(self) -> str:
        """What the header and lists call the person."""
        return "Guest" if self.is_guest else self.get_full_name() or self.username


class ApiToken(models.Model):
    """A key to the REST API. Only its SHA-256 is kept: the token itself is random, so a slow hash would add nothing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)  # enough to recognise it by, useless without the rest
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    export_exclude = ("digest",)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"


class Accommodation(models.Model):
    """What a person needs in order to sit a timed round. They set it themselves; it holds for the rounds they start themselves."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="accommodation")
    multiplier = models.FloatField(default=1.0, validators=[MinValueValidator(1.0), MaxValueValidator(4.0)])
    extra_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(7200)])
    break_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(7200)])  # in which the clock stands
    hide_timer = models.BooleanField(default=False)
    no_low_time_alerts = models.BooleanField(default=False)
    reduced_motion = models.BooleanField(default=False)
    keyboard_canvas = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"accommodation of {self.user}"

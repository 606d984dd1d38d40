from django.apps import AppConfig


class ChallengesConfig(AppConfig):
    name = "mlsd_app.challenges"
    default_auto_field = "django.db.models.BigAutoField"

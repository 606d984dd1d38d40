from importlib import import_module

from django.apps import AppConfig


class CohortsConfig(AppConfig):
    name = "mlsd_app.cohorts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("mlsd_app.cohorts.rules")  # so that user.has_perm knows them

from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "mlsd_app.api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("mlsd_app.api.schemes")

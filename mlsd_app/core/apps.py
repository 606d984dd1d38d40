from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "mlsd_app.core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from mlsd_app.core import checks  # noqa: F401 - importing registers them

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "mlsd_app.runs"
    default_auto_field = "django.db.models.BigAutoField"

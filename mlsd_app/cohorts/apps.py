from django.apps import AppConfig


class CohortsConfig(AppConfig):
    name = "mlsd_app.cohorts"
    default_auto_field = "django.db.models.BigAutoField"

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "mlsd_app.core"
    default_auto_field = "django.db.models.BigAutoField"

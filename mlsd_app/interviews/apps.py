from django.apps import AppConfig


class InterviewsConfig(AppConfig):
    name = "mlsd_app.interviews"
    default_auto_field = "django.db.models.BigAutoField"

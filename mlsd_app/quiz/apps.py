from django.apps import AppConfig


class QuizConfig(AppConfig):
    name = "mlsd_app.quiz"
    default_auto_field = "django.db.models.BigAutoField"

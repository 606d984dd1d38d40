from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "mlsd_app.catalog"
    default_auto_field = "django.db.models.BigAutoField"

"""The ASGI application. Event streams need it: under WSGI they are buffered."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsd_app.settings")
django_application = get_asgi_application()

from mlsd_app.core.limits import limit_body  # noqa: E402
from mlsd_app.core.warmup import warm_up  # noqa: E402

application = limit_body(django_application)
warm_up()

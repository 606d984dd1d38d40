"""The one settings file. It reads the environment and runs from a checkout with no variable set.

LOOP45_ENV         "development" (default) or "production": production refuses the built-in secret and turns HTTPS on
LOOP45_SECRET_KEY  Django's secret key; required in production
LOOP45_HOSTS       comma-separated host names; required in production
LOOP45_VAR         folder for everything the site writes (default: var/ in the checkout)
LOOP45_DEMO        "1" (default in development): demo accounts with printed log-ins
LOOP45_PORT        port that `make run` serves (default 8045)
DATABASE_URL       postgres://user:password@host/name; default: SQLite in LOOP45_VAR
LOOP45_SMTP        smtp://user:password@host:587 (STARTTLS) or smtps://...; default: messages go to the log
LOOP45_FROM        sender of messages
REDIS_URL          redis://host:6379/0; default: a Redis of our own on a unix socket in LOOP45_VAR
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.contrib.messages import constants as message_levels
from django.core.exceptions import ImproperlyConfigured

from mlsd_app.core.paths import short_socket_path

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("LOOP45_VAR", BASE_DIR / "var")).resolve()
ENVIRONMENT = os.environ.get("LOOP45_ENV", "development")
PRODUCTION = ENVIRONMENT == "production"
DEMO = os.environ.get("LOOP45_DEMO", "0" if PRODUCTION else "1") == "1"
PORT_TEXT = os.environ.get("LOOP45_PORT", "8045")
if not (PORT_TEXT.isascii() and PORT_TEXT.isdigit() and 0 < int(PORT_TEXT) < 65_536):
    raise ImproperlyConfigured(f"LOOP45_PORT is {PORT_TEXT!r}; expected a port number from 1 to 65535.")
PORT = int(PORT_TEXT)
DEBUG = False  # a run of the site never shows tracebacks to users; tests and logs do

SECRET_KEY = os.environ.get("LOOP45_SECRET_KEY", "" if PRODUCTION else "development-only-secret-key-never-used-in-production-0000")
if not SECRET_KEY:
    raise ImproperlyConfigured("LOOP45_SECRET_KEY is not set; production needs a secret of at least 50 random characters.")
ALLOWED_HOSTS = [
    host for host in os.environ.get("LOOP45_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1],testserver").split(",") if host
]
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("LOOP45_HOSTS is not set; production needs the host names it answers to, separated by commas.")

INSTALLED_APPS = [
    "mlsd_app.core",
    "mlsd_app.accounts",
    "mlsd_app.catalog",
    "mlsd_app.runs",
    "mlsd_app.challenges",
    "mlsd_app.interviews",
    "mlsd_app.quiz",
    "mlsd_app.cohorts",
    "mlsd_app.api",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "mlsd_app.core.middleware.in_one_thread",
]

ROOT_URLCONF = "mlsd_app.urls"
ASGI_APPLICATION = "mlsd_app.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mlsd_app.core.context.site",
            ],
        },
    }
]

# --- database --------------------------------------------------------------------------------------------------------

# WAL lets readers and one writer work at once; IMMEDIATE takes the write lock at BEGIN, so that a busy database makes a
# transaction wait instead of failing half-way. Either alone still gives "database is locked" under load. WAL is a property of
# the file; migrate sets it (mlsd_app/core/apps.py).
SQLITE_OPTIONS: dict[str, Any] = {
    "timeout": 10,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-20000; PRAGMA temp_store=MEMORY",
}
VAR_DIR.mkdir(parents=True, exist_ok=True)
DATABASES: dict[str, Any] = {"default": dj_database_url.config(default=f"sqlite:///{VAR_DIR / 'loop45.sqlite3'}", conn_health_checks=True)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    DATABASES["default"]["CONN_MAX_AGE"] = 0
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis and Celery --------------------------------------------------------------------------------------------------

REDIS_SOCKET = short_socket_path(VAR_DIR / "redis.sock")
EMBEDDED_REDIS = "REDIS_URL" not in os.environ
REDIS_URL = os.environ.get("REDIS_URL", f"unix://{REDIS_SOCKET}?db=0")
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)  # Celery's words for a socket
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"queue_order_strategy": "priority", "socket_timeout": 10, "socket_connect_timeout": 2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "batch"
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 600  # a new checkout compiles every lab before a pool process says that it is up
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "reap": {"task": "runs.reap", "schedule": 10.0, "options": {"expires": 10}},
    "prune": {"task": "runs.prune", "schedule": 600.0, "options": {"expires": 600}},
    "challenges": {"task": "challenges.reap", "schedule": 15.0, "options": {"expires": 15}},
    "rejudge": {"task": "challenges.rejudge", "schedule": crontab(hour=2, minute=30), "options": {"expires": 3600}},
    "interviews": {"task": "interviews.sweep", "schedule": 15.0, "options": {"expires": 15}},
    "cohorts-grading": {"task": "cohorts.grading", "schedule": 20.0, "options": {"expires": 20}},
    "quiz-pool": {"task": "quiz.pool_refill", "schedule": 86_400.0, "options": {"expires": 3600}},
    "quiz-sweep": {"task": "quiz.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "exports": {"task": "cohorts.exports_prune", "schedule": 3600.0, "options": {"expires": 600}},
    "guests": {"task": "accounts.guests_delete_stale", "schedule": 86_400.0, "options": {"expires": 3600}},
}

# --- people ------------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "rules.permissions.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
STALE_GUEST_DAYS = 7  # a guest without any work is deleted by then
API_TOKENS_PER_USER = 10

ACCOUNT_ADAPTER = "mlsd_app.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*"]
ACCOUNT_FORMS = {
    "login": "mlsd_app.accounts.forms.SignInForm",
    "signup": "mlsd_app.accounts.forms.SignUpForm",
    "add_email": "mlsd_app.accounts.forms.EmailForm",
    "change_password": "mlsd_app.accounts.forms.ChangePasswordForm",
    "set_password": "mlsd_app.accounts.forms.SetPasswordForm",
    "reset_password": "mlsd_app.accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "mlsd_app.accounts.forms.ResetPasswordKeyForm",
}
ACCOUNT_EMAIL_VERIFICATION = "none"  # signing up sends nothing; changing the address and resetting the password do
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_USERNAME_MIN_LENGTH = 3
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_AUTHENTICATED_LOGIN_REDIRECTS = False  # guests are signed in and still sign up; accounts.views sends members on
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Loop45: "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PRODUCTION else "http"

# Rate limits of sign-in count here: in the database, so that all processes on all hosts see one count and Redis is not needed.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    "markdown": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "markdown", "OPTIONS": {"MAX_ENTRIES": 2000}},
}

# Without LOOP45_SMTP messages are written to the log.
_SMTP = urlsplit(os.environ.get("LOOP45_SMTP", ""))
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if _SMTP.hostname else 'console'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _SMTP.hostname or "", _SMTP.port or 587
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_SMTP.username or ""), unquote(_SMTP.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS, EMAIL_TIMEOUT = _SMTP.scheme == "smtps", _SMTP.scheme != "smtps", 10
DEFAULT_FROM_EMAIL = os.environ.get("LOOP45_FROM", "Loop45 <no-reply@localhost>")

# the design system's words for Django's levels
MESSAGE_TAGS = {message_levels.SUCCESS: "good", message_levels.WARNING: "warning", message_levels.ERROR: "bad"}

# --- language, files -----------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "files"}},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
PROBLEMS_DIR = BASE_DIR / "problems"
ASSETS_DIR = VAR_DIR / "assets"
UPLOADS_DIR = VAR_DIR / "uploads"
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "tmp"
FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]  # checks read files, never memory
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20  # of a request without its files
MAX_REQUEST_BYTES = 1100 * 2**20  # of any request: two files of 512 MB and their form

# --- limits a user meets -------------------------------------------------------------------------------------------------

RUN_LIMITS = {
    "active_per_user": 4,  # runs queued or running at once, sweeps counted apart
    "starts_per_minute": 600,  # a slider dragged without rest sends about ten a second for a few seconds
    "queue_length": 40,  # waiting runs above which a new one is refused at once
    "expires_s": 10,  # a run not begun by then is given up
    "sweep_points": 25,
    "datasets_per_user": 20,
    "dataset_bytes_per_user": 2 * 2**30,
}

CHALLENGE_LIMITS = {
    "apart_s": 60,  # from one submission of a person to the next
    "a_day": 10,  # designs a person may submit to one challenge in practice; an assignment has its own bound
}

QUIZ_FUZZ = True  # spreads the days on which cards come back; off in tests

# --- security --------------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 180 * 86_400
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_SSL_REDIRECT = os.environ.get("LOOP45_SSL_REDIRECT", "1") == "1"
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- API ---------------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mlsd_app.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mlsd_app.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["mlsd_app.api.throttling.PerMinute"],
    "EXCEPTION_HANDLER": "mlsd_app.api.errors.handle_exception",
}
API_LIMITS = {"signed_in_per_minute": 600, "visitor_per_minute": 120, "readings_per_minute": 60}
SPECTACULAR_SETTINGS = {
    "TITLE": "Loop45 API",
    "VERSION": "1",
    "DESCRIPTION": "Read problems and labs, start runs on the live engines, follow them and fetch their results.",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "PhaseKey": "mlsd_app.api.serializers.PHASE_CHOICES",
        "RunState": "mlsd_app.runs.models.RunState",
        "AttemptStatus": "mlsd_app.interviews.models.Status",
        "ScoreState": "mlsd_app.interviews.models.ScoreState",
        "AssignmentKind": "mlsd_app.cohorts.models.Kind",
        "CohortRole": "mlsd_app.api.cohort_shapes.ROLES",
        "AttemptKind": "mlsd_app.api.attempt_shapes.KINDS",
        "AttemptMode": "mlsd_app.api.attempt_shapes.MODES",
        "AttemptShow": "mlsd_app.api.attempt_shapes.SHOWS",
        "AttemptLevel": "mlsd_app.api.attempt_shapes.LEVELS",
        "VersionKind": "mlsd_app.api.attempt_shapes.VERSION_KINDS",
        "PauseKind": "mlsd_app.api.attempt_shapes.PAUSE_KINDS",
        "AnswerKind": "mlsd_app.api.attempt_shapes.ANSWER_KINDS",
        "ClaimOp": "mlsd_app.api.score_shapes.OPS",
        "ChallengeOp": "mlsd_app.api.challenge_shapes.OPERATORS",
        "ChallengeTargetKind": "mlsd_app.api.challenge_shapes.KINDS",
        "SubmissionState": "mlsd_app.challenges.models.State",
        "SubmissionVerdict": "mlsd_app.challenges.models.Verdict",
        "QuizPhase": "mlsd_app.api.quiz_shapes.PHASES",
        "QuizSittingKind": "mlsd_app.quiz.models.SittingKind",
        "QuizOwnSittingKind": "mlsd_app.api.quiz_shapes.OWN_KINDS",
        "QuizFlagKind": "mlsd_app.api.quiz_shapes.FLAG_KINDS",
    },
}

# --- log -----------------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOOP45_LOG", "INFO")},
}

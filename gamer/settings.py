"""Django's settings, from the environment (`env.py`). One file for development, tests and production."""

from __future__ import annotations

import logging as _level
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

from corsheaders.defaults import default_headers as _default_headers

from gamer import env as _env
from gamer import logs as _logs

ENV = _env.read()
BASE_DIR = _env.ROOT
STATE_DIR = _env.STATE_DIR

SECRET_KEY = ENV.secret_key
GAMER_KEYS = ENV.gamer_keys
DEBUG = False
ALLOWED_HOSTS = ENV.allowed_hosts or ["localhost", "127.0.0.1", "[::1]"]
PUBLIC_URL = ENV.public_url
GAMES_URL, GAMES_GOOGLE_CREDENTIALS = ENV.games_url, ENV.games_google_credentials
# The same place by a login that may write, which no machine is given; without one it is tried with the other.
GAMES_UPLOAD_URL = ENV.games_upload_url
GAMES_UPLOAD_GOOGLE_CREDENTIALS = ENV.games_upload_google_credentials
GAMES_UPLOAD_DIR = ENV.games_upload_dir or str(
    STATE_DIR / "uploads"
)  # one file system for all servers and workers
GAMES_UPLOAD_MAX_BYTES = _env.whole(ENV.games_upload_max_gb, 64) * 1024**3
SAVES_URL, SAVES_GOOGLE_CREDENTIALS = ENV.saves_url, ENV.saves_google_credentials
CLOUDYPAD_BIN, CLOUDYPAD_HOME = ENV.cloudypad_bin, ENV.cloudypad_home or str(STATE_DIR / "cloudypad")
_is_https = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # its default one makes its site at once, and with it our forms: see `gamer.apps`
    "unfold.contrib.filters",
    "gamer.apps.PagesConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "django_q",
    "pgtrigger",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_static",
    "gamer.queue",
    "gamer.web",
    "events",
    "locations",
    "accounts",
    "emulators",
    "billing",
    "monitoring",
    "vms",
    "portal",
]

MIDDLEWARE = [
    "gamer.web.middleware.ContextMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "gamer.web.middleware.StaticMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "gamer.web.middleware.BodyLimitMiddleware",
    "gamer.web.middleware.NulMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "gamer.web.middleware.StaffActsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "gamer.web.middleware.CountMiddleware",
]
APPEND_SLASH = False  # every path answers with and without

ROOT_URLCONF = "gamer.urls"
WSGI_APPLICATION = "gamer.wsgi.application"
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
            ]
        },
    }
]


# A server whose machine or network is gone says nothing. Without these its clients wait as long as the kernel does: a quarter of an hour
# for what they have sent, two hours for an answer. What DATABASE_URL says of them holds; sockets of this machine know none.
_GIVEN_UP = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def _connection() -> dict[str, Any]:
    """One database, and how long each kind of process keeps its connections."""
    kept: dict[str, Any] = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
    if ENV.process == "streams":
        # Under ASGI any thread may serve a request, and all of them would keep one: "too many clients".
        kept = {"CONN_MAX_AGE": 0}
    elif ENV.process == "command":
        kept = {}
    # Statements here are many and short, or sums over rows that are counted on: compiling them first does not pay.
    options: dict[str, Any] = {**_GIVEN_UP, **ENV.database.get("OPTIONS", {})}
    options["options"] = f"{options.get('options', '')} -c jit=off".strip()
    options.setdefault("prepare_threshold", 5)  # for the few statements that ask for it: gamer/prepared.py
    return {**ENV.database, **kept, "OPTIONS": options, "ATOMIC_REQUESTS": False}


def _amount(text: str) -> Decimal:
    """An amount of the environment; nothing for one that the checks refuse."""
    try:
        amount = Decimal(text)
    except ArithmeticError:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)


DATABASES = {"default": _connection()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # who comes to the login by a bookmark
PASSWORD_RESET_TIMEOUT = 3600  # seconds

# Lock-outs: only accounts/logins.py tries passwords, and only accounts/lockout.py knows axes.
AXES_HANDLER = "accounts.lockout.CountsFirst"
AXES_LOCKOUT_PARAMETERS = ["ip_address", "username"]
AXES_LIMITS = {"ip_address": 100, "username": 20}  # failures until the lock
AXES_COOLOFF_TIME = timedelta(hours=1)
AXES_USERNAME_FORM_FIELD = "username"
AXES_CLIENT_IP_CALLABLE = "gamer.web.throttles.client_ip"
AXES_DISABLE_ACCESS_LOG = True  # who logs in is an event
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SILENCED_SYSTEM_CHECKS = ["axes.W002"]  # its middleware words the refusal; our doors word it themselves
OTP_THROTTLE_S = OTP_STATIC_THROTTLE_FACTOR = 1  # after a wrong code, doubled by each further one

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
# Production collects first and gets hashed names; until it has, files come from the packages as in development.
_is_collected = ENV.is_production and (
    "collectstatic" in sys.argv or (STATIC_ROOT / "staticfiles.json").exists()
)
WHITENOISE_USE_FINDERS = not _is_collected and (ENV.process in ("api", "streams") or not ENV.is_production)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _is_collected
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _is_https
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _is_https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _is_https else None
SECURE_REDIRECT_EXEMPT = [r"^health/?$"]
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "gamer.web.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
CORS_ALLOWED_ORIGINS = ENV.cors_allowed_origins
CORS_ALLOW_HEADERS = [*_default_headers, "Idempotency-Key", "X-API-Key", "X-Request-ID"]
CORS_EXPOSE_HEADERS = [
    *("Link", "X-Total-Count", "Location", "Retry-After", "Idempotent-Replayed", "X-Request-ID"),
    "Content-Disposition",  # a save's file name: its download takes a header, so a page fetches it
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes of a request's body

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.ApiKeyAuthentication",
        "accounts.api.authentication.JwtAuthentication",
        "accounts.api.authentication.AdminSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["gamer.web.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "gamer.web.negotiation.PreferOurs",
    "DEFAULT_PAGINATION_CLASS": "gamer.web.pagination.LimitSkipPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["gamer.web.throttles.WriteThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "write": "120/min",
        "agent": "60/min",
        # Archives of saves, each of up to 64 MiB that is looked into: of one machine, and of one caller.
        "agent_saves": "12/min",
        "save_upload": "20/min",
        # Looks at a machine over SSH, for which a web process waits: every two seconds beside a Moonlight that shows its PIN.
        "pairing": "30/min",
        "signup_ip": "20/hour",
        "reset_ip": "20/hour",
        "reset_email": "5/hour",
        # Mails in our name: of one department, and to one address.
        "invite": "100/hour",
        "invite_email": "5/day",
        # Failures only: the right token costs nothing. Failed logins: AXES_LIMITS.
        "agent_register_ip": "300/hour",
    },
    "NUM_PROXIES": 1 if _is_https else 0,  # X-Forwarded-For is believed where SECURE_PROXY_SSL_HEADER is
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "gamer.web.errors.exception_handler",
    "DEFAULT_METADATA_CLASS": None,  # the API describes itself at /schema, not by OPTIONS
    "NON_FIELD_ERRORS_KEY": "body",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": False,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Gamer Provisioner API",
    "DESCRIPTION": """Launches console games on the nearest affordable machine.

**Signing in.** People sign up or log in (`POST /auth/login`) and send the `access` token as `Authorization: Bearer …`. It is good for
five minutes; `POST /auth/refresh` trades the `refresh` token for the next pair, once. Services send a key of `POST /api-keys` as
`X-API-Key`; its scopes say what it may do, and with `act_as` it names its players by `user_id`.

**Lists** are bare arrays of at most `limit` rows (50 unless asked, at most 200). `X-Total-Count` says how many there are, and `Link`
where the next page is: follow it as it is, its cursor neither misses nor repeats a row while others come and go.

**Errors** have one shape, `{"error": {"code", "message", "details"}, "detail"}`. Go by `code`: a 400 is `validation_error`, which
names the fields in `details`, or `invalid_state`, which says what state the thing is in. Unknown fields are refused. After a 429, and a
503 that says so, wait for `Retry-After` seconds. Every answer has an `X-Request-ID`, by which we find it in our logs.""",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "ErrorCode": "gamer.web.schema.ERROR_CODES",
        "StatusOfVm": "vms.api.serializers.machines.STATUSES",
        "StatusOfSession": "vms.models.GameSession.Status",
        "RankedBy": "vms.api.serializers.regions.METHODS",
        "RoleInDepartment": "accounts.models.DepartmentRole",
        "RoleInvited": "accounts.api.tenant_serializers.INVITED_ROLES",
        "RoleOfPerson": "accounts.api.serializers.PERSON_ROLES",
        "StateOfProject": "accounts.api.tenant_serializers.PROJECT_STATES",
    },
    "PREPROCESSING_HOOKS": ["gamer.web.schema.strip_slashes"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "gamer.web.schema.say_whose_body_is_needed",
        "gamer.web.schema.add_common_errors",
        "gamer.web.schema.add_headers",
    ],
}
# What /health?full=1 looks at, bottom up; an app above adds its own checks here.
HEALTH_CHECKS = [
    "gamer.web.health.database",
    "gamer.web.health.queue",
    "gamer.web.health.scheduler",
    "gamer.web.health.tasks",
    "locations.health.geocoder",
    "locations.health.location_finder",
    "emulators.health.saves",
    "billing.health.ledger",
    "vms.health.parts",
]

# What `manage.py doctor` looks at on a host, bottom up.
DOCTOR_CHECKS = [
    "gamer.web.doctor.environment",
    "gamer.web.doctor.database",
    "gamer.web.doctor.keys",
    "gamer.web.doctor.queue",
    "gamer.web.doctor.schedules",
    "accounts.doctor.administrator",
    "locations.doctor.gazetteer",
    "emulators.doctor.saves",
    "emulators.doctor.library",
    "vms.doctor.cloudypad",
    "vms.doctor.switches",
    "vms.doctor.accounts",
]
# What /metrics reads from rows, bottom up; an app above adds its own here.
METRICS = [
    "gamer.web.metrics.queue",
    "gamer.web.metrics.failed",
    "gamer.web.metrics.tallies",
    "emulators.metrics.figures",
    "billing.metrics.figures",
    "monitoring.metrics.figures",
    "vms.metrics.figures",
]
METRICS_ALLOWED_NETWORKS = ENV.metrics_allowed_networks

# Measured in facts/queue-and-postgres.md 2.8; retry > timeout * (1 + (queue_limit + bulk) / workers).
Q_CLUSTER: dict[str, Any] = {
    "name": "gamer",
    "orm": "default",
    "broker_class": "gamer.queue.broker.PgBroker",
    "workers": 8,  # a create may take 120 s, and nobody should wait for it
    "bulk": 4,
    "queue_limit": 4,
    "timeout": 150,
    "retry": 330,
    "max_attempts": 5,
    "ack_failures": False,
    "save_limit": -1,
    "recycle": 500,
    "max_rss": 300_000,
    "catch_up": False,
}
QUEUE_STUCK_AFTER_S = 30  # a due task that idle workers leave alone for so long ends its worker cluster

EMAIL_CONFIG = ENV.email
vars().update({name: value for name, value in EMAIL_CONFIG.items() if name.startswith("EMAIL_")})
EMAIL_TIMEOUT = 20  # seconds; a worker waits for the mail server
DEFAULT_FROM_EMAIL = SERVER_EMAIL = f"Gamer <gamer@{_env.host_of(PUBLIC_URL) or 'localhost'}>"
# Whether webhooks may lead into our own network, and go without TLS: on a developer's machine only.
WEBHOOKS_MAY_BE_LOCAL = not ENV.is_production

GAZETTEER_DIR = STATE_DIR / "gazetteer"
# What `manage.py seed` calls, each with the time, each safe to repeat.
SEEDS = [
    "gamer.web.tasks.seed",
    "events.services.seed",
    "events.deliveries.seed",
    "locations.services.seed",
    "locations.regions.seed",
    "accounts.services.seed",
    "emulators.services.seed",
    "emulators.services.keeping.seed",
    "monitoring.services.seed",
    "vms.machine_types.seed",
    "billing.services.seeding.seed",
    "vms.provider_accounts.seed",
    "portal.services.seed",
]
# The schedules that these keep, by name: `doctor` misses them. Tests hold the list to what the seeds make.
SCHEDULES = (
    "forget old requests", "erase old addresses", "deliver messages", "forget old messages", "geocode missing places",
    "refresh the Location Finder's answers", "forget old logins", "mail invitations again", "scan the library",
    "look after the library", "store saves", "delete doomed saves", "thin saves", "roll up metrics", "forget old metrics",
    "close full hours", "fold coarse sums", "expire credit", "verify the ledger", "compare meters with machines",
    "archive ended VMs", "forget machines that are gone", "look at providers' balances", "end what nobody may keep",
)  # fmt: skip
# Seconds a reconciler or worker may be silent before another takes its rows over; renewed at a third of it.
LEASE_S = 30
# Whom the console pages ask what is on offer; they know no room above theirs.
OFFER_FACTS = "vms.offers.facts"
RECORDER = "events.services.note"  # where the ground records what was done with it
AUDIT = "events.auditing.audit"  # what records what staff do on the admin's pages, ours and libraries'
# A misspelt kind of event fails its first test; in production it is better recorded than lost.
REFUSE_UNLISTED_EVENTS = not ENV.is_production
STOPPED_KEEP_HOURS = _env.whole(ENV.stopped_keep_hours, 48)
# How long machines' samples are kept, and what they are rolled up into.
METRICS_KEPT = {
    "sample": timedelta(hours=_env.whole(ENV.metrics_sample_hours, 6)),
    "minute": timedelta(days=_env.whole(ENV.metrics_minute_days, 7)),
    "hour": timedelta(days=_env.whole(ENV.metrics_hour_days, 400)),
}
# Of each save slot the newest versions are kept, and of the last days one a day; and how much one player may store.
SAVES_KEPT_VERSIONS = _env.whole(ENV.saves_kept_versions, 20)
SAVES_KEPT_DAYS = _env.whole(ENV.saves_kept_days, 30)
SAVES_BYTES_PER_PLAYER = _env.whole(ENV.saves_mib_per_player, 2048) * 1024 * 1024
# Days and months of money are this zone's; to change it, run `manage.py rebuild_usage` afterwards.
BILLING_TIME_ZONE = ENV.billing_time_zone
SIGNUP_CREDIT_USD = _amount(ENV.signup_credit_usd)
VERSION = "1.0.0"

UNFOLD = {
    "SITE_TITLE": "Gamer",
    "SITE_HEADER": "Gamer",
    "SITE_SUBHEADER": "Staff",
    "SITE_SYMBOL": "sports_esports",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "gamer.web.navigation.favicon"}],
    "SITE_URL": "/admin/",
    "STYLES": ["gamer.web.navigation.stylesheet"],
    "LOGIN": {"form": "accounts.forms.LoginForm"},
    "ACCOUNT": {"navigation": "gamer.web.navigation.account"},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "portal.admin.front_page.front_page",
    "SIDEBAR": {"show_search": True, "navigation": "gamer.web.navigation.sidebar"},
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.6)",
            "100": "oklch(93.2% .032 255.6)",
            "200": "oklch(88.2% .059 254.1)",
            "300": "oklch(80.9% .105 251.8)",
            "400": "oklch(70.7% .165 254.6)",
            "500": "oklch(62.3% .214 259.8)",
            "600": "oklch(54.6% .245 262.9)",
            "700": "oklch(48.8% .243 264.4)",
            "800": "oklch(42.4% .199 265.6)",
            "900": "oklch(37.9% .146 265.5)",
            "950": "oklch(28.2% .091 267.9)",
        }
    },
}

# What every process knows and no log line may show.
_own_secrets = (
    SECRET_KEY,
    *GAMER_KEYS,
    str(ENV.database.get("PASSWORD") or ""),
    ENV.tensordock_api_token,
    ENV.admin_password,
    ENV.demo_api_key,
    str(ENV.email.get("EMAIL_HOST_PASSWORD") or ""),
    _env.password_of(GAMES_URL),
    _env.password_of(GAMES_UPLOAD_URL),
    _env.password_of(SAVES_URL),
)
_logs.configure(*_own_secrets)
LOGGING = _logs.as_django_wants(is_json=ENV.is_production)
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # bound by gamer.web.middleware, which knows our proxy
DJANGO_STRUCTLOG_USER_ID_FIELD = None  # `actor` says it, and asks no session
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # checked before
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = _level.DEBUG
DJANGO_STRUCTLOG_STATUS_2XX_LOG_LEVEL = _level.INFO if ENV.is_production else _level.DEBUG
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = _level.INFO

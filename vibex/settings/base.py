"""Settings that all environments share. The environment itself is declared in `vibex.lib.variables`."""

import sys
import warnings
from datetime import timedelta

from django.utils.csp import CSP

from vibex.lib import logging, queues, variables
from vibex.lib.env import ROOT
from vibex.settings import database, start

environment = start.environment_or_exit()

# The environment under its own names.
VIBEX_ENV = environment.VIBEX_ENV
DEBUG = environment.DEBUG
SECRET_KEY = start.secret_key(environment)
CREDENTIALS_KEY = environment.CREDENTIALS_KEY
CREDENTIALS_KEYS = start.credentials_keys(environment)
VIBEX_DATA_DIR = environment.VIBEX_DATA_DIR
VIBEX_SHARED_DATA = environment.VIBEX_SHARED_DATA
API_HOST = environment.API_HOST
API_PORT = environment.API_PORT
WEB_PROCESSES = environment.WEB_PROCESSES
CYCLE_THREADS = environment.CYCLE_THREADS
ALLOWED_HOSTS = list(environment.ALLOWED_HOSTS)
CSRF_TRUSTED_ORIGINS = list(environment.CSRF_TRUSTED_ORIGINS)
HTTPS = environment.HTTPS
PUBLIC_URL = (environment.PUBLIC_URL or "").rstrip("/")
CORS_ALLOWED_ORIGINS = list(environment.CORS_ALLOWED_ORIGINS)
API_DOCS = environment.API_DOCS
API_RATE_ADDRESS = environment.API_RATE_ADDRESS
API_RATE_USER = environment.API_RATE_USER
API_RATE_KEY = environment.API_RATE_KEY
API_RATE_TRADE = environment.API_RATE_TRADE
API_RATE_ADMIN = environment.API_RATE_ADMIN
SIGN_IN_RATE = environment.SIGN_IN_RATE
API_MAX_BODY_KB = environment.API_MAX_BODY_KB
CONFIRM_MINUTES = environment.CONFIRM_MINUTES
EMAIL_URL = environment.EMAIL_URL
DATABASE_URL = environment.DATABASE_URL
DATABASE_POOL_SIZE = environment.DATABASE_POOL_SIZE
DATABASE_STATEMENT_SECONDS = environment.DATABASE_STATEMENT_SECONDS
DATABASE_LOCK_SECONDS = environment.DATABASE_LOCK_SECONDS
DATABASE_IDLE_SECONDS = environment.DATABASE_IDLE_SECONDS
REDIS_URL = environment.REDIS_URL
ALLOW_SQLITE_IN_PRODUCTION = environment.ALLOW_SQLITE_IN_PRODUCTION
BACKUP_HOURLY = environment.BACKUP_HOURLY
BACKUP_DIR = environment.BACKUP_DIR or environment.VIBEX_DATA_DIR / "backups"
BACKUP_KEY = environment.BACKUP_KEY
BACKUP_RECIPIENT = environment.BACKUP_RECIPIENT
BACKUP_S3_URL = environment.BACKUP_S3_URL
BACKUP_S3_REGION = environment.BACKUP_S3_REGION
BACKUP_S3_ACCESS_KEY = environment.BACKUP_S3_ACCESS_KEY
BACKUP_S3_SECRET_KEY = environment.BACKUP_S3_SECRET_KEY
ASSETS = environment.ASSETS
INTERVAL = environment.INTERVAL
MARKET = environment.MARKET
VENUE = environment.VENUE
ASTERDEX_REST_URL = environment.ASTERDEX_REST_URL
ASTERDEX_STREAM_URL = environment.ASTERDEX_STREAM_URL
ASTERDEX_TESTNET_REST_URL = environment.ASTERDEX_TESTNET_REST_URL
ASTERDEX_TESTNET_STREAM_URL = environment.ASTERDEX_TESTNET_STREAM_URL
TRADITIONAL_PERPS = environment.TRADITIONAL_PERPS
CANDLE_RETENTION_DAYS = environment.CANDLE_RETENTION_DAYS
SNAPSHOT_RETENTION_DAYS = environment.SNAPSHOT_RETENTION_DAYS
PROMPT_RETENTION_DAYS = environment.PROMPT_RETENTION_DAYS
EQUITY_POINT_DAYS = environment.EQUITY_POINT_DAYS
SIGN_IN_RETENTION_DAYS = environment.SIGN_IN_RETENTION_DAYS
ALERT_RETENTION_DAYS = environment.ALERT_RETENTION_DAYS
CHECK_RETENTION_DAYS = environment.CHECK_RETENTION_DAYS
OPENROUTER_API_KEY = environment.OPENROUTER_API_KEY
LLM_BASE_URL = environment.LLM_BASE_URL
LLM_API_KEY = environment.LLM_API_KEY
LLM_MODEL = environment.LLM_MODEL
OPENAI_API_KEY = environment.OPENAI_API_KEY
ANTHROPIC_API_KEY = environment.ANTHROPIC_API_KEY
DEEPSEEK_API_KEY = environment.DEEPSEEK_API_KEY
XAI_API_KEY = environment.XAI_API_KEY
GEMINI_API_KEY = environment.GEMINI_API_KEY
MODEL_KEYS = environment.MODEL_KEYS
LLM_REQUESTS_PER_MINUTE = environment.LLM_REQUESTS_PER_MINUTE
LLM_AT_ONCE = environment.LLM_AT_ONCE
LLM_REPLY_CACHE = environment.LLM_REPLY_CACHE
ASTERDEX_USER = environment.ASTERDEX_USER
ASTERDEX_SIGNER = environment.ASTERDEX_SIGNER
ASTERDEX_PRIVATE_KEY = environment.ASTERDEX_PRIVATE_KEY
ASTERDEX_API_KEY = environment.ASTERDEX_API_KEY
ASTERDEX_API_SECRET = environment.ASTERDEX_API_SECRET
ACCOUNT_KEYS = environment.ACCOUNT_KEYS
ASTERDEX_TRANSPORT = environment.ASTERDEX_TRANSPORT
LIVE_GATE_DAYS = environment.LIVE_GATE_DAYS
LIVE_GATE_DECISIONS = environment.LIVE_GATE_DECISIONS
FEATURE_REGISTRATION = environment.FEATURE_REGISTRATION
FEATURE_LIVE_TRADING = environment.FEATURE_LIVE_TRADING
FEATURE_ENSEMBLE = environment.FEATURE_ENSEMBLE
FEATURE_EXTERNAL_TEXT = environment.FEATURE_EXTERNAL_TEXT
FEATURES = variables.features_of(environment)
LOG_LEVEL = environment.LOG_LEVEL
LOG_LEVELS = environment.LOG_LEVELS
LOG_FILES = environment.LOG_FILES
VIBEX_LOG_DIR = environment.VIBEX_LOG_DIR
LOG_MAX_TOTAL_MB = environment.LOG_MAX_TOTAL_MB
METRICS_TOKEN = environment.METRICS_TOKEN
SENTRY_DSN = environment.SENTRY_DSN
OTEL_EXPORTER_OTLP_ENDPOINT = environment.OTEL_EXPORTER_OTLP_ENDPOINT
OTEL_EXPORTER_OTLP_HEADERS = environment.OTEL_EXPORTER_OTLP_HEADERS
TRACES_SHARE = environment.TRACES_SHARE

INSTALLED_APPS = [
    "accounts.access.admin_app.AccessAdmin",  # the admin without a door of its own
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "django_celery_beat",
    "django_htmx",
    "vibex",
    "accounts",
    "marketdata",
    "decisions",
    "trading",
]

MIDDLEWARE = [
    "vibex.lib.requests.request_log",
    "django.middleware.security.SecurityMiddleware",
    "vibex.lib.headers.browser_rules",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "vibex.lib.plain_text.no_nul",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.sign_ins",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # closed by default: a view has to say that it is open
    "accounts.middleware.user_time_zone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "vibex.urls"
ASGI_APPLICATION = "vibex.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES = {"default": database.database(environment, sys.argv)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"

# Static files come straight from their folders; only production collects them first.
STATIC_URL = "static/"
STATIC_ROOT = ROOT / "staticfiles"
STATICFILES_DIRS = [ROOT / "static", *start.plotly_scripts()]
WHITENOISE_USE_FINDERS = True
# Nothing is collected before production, and `up` refuses to start there without.
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# People
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Browsers
SHA_OF_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"  # the style element that plotly makes
SHA_OF_MAP_STYLE = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"  # plotly 7.1 adds it when it is loaded
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF, SHA_OF_EMPTY_STYLE, SHA_OF_MAP_STYLE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"

# Programs in browsers of other origins: only of those that are named, only at the API, and never with the cookies of a
# person who is signed in here.
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key", "if-none-match", "prefer"]
CORS_EXPOSE_HEADERS = ["content-disposition", "etag", "idempotency-replayed", "location", "retry-after", "x-request-id"]

# Bodies: small, and never a file. What is larger is refused at the door (`vibex.asgi`) where its length is told.
DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_KB * 1024
FILE_UPLOAD_HANDLERS: list[str] = []

# Mail: for passwords that were forgotten. Without a server it is written to the log of a development server.
globals().update(start.mail(EMAIL_URL))
EMAIL_FROM = DEFAULT_FROM_EMAIL = SERVER_EMAIL = environment.EMAIL_FROM
EMAIL_TIMEOUT = 10
PASSWORD_RESET_TIMEOUT = 3600

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.access.authentication.KeyAuthentication",
        "accounts.access.authentication.TokenAuthentication",
        "accounts.access.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.access.permissions.Closed"],
    # The first one where a caller does not say. Files are taken nowhere: there is no parser for them.
    "DEFAULT_RENDERER_CLASSES": ["vibex.lib.api.renderers.PlainJson", "vibex.lib.api.renderers.BrowsablePages"],
    "DEFAULT_PARSER_CLASSES": ["vibex.lib.api.parsing.StrictJson", "vibex.lib.api.parsing.StrictForm"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "vibex.lib.api.negotiation.Negotiation",
    "DEFAULT_METADATA_CLASS": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DEFAULT_PAGINATION_CLASS": "vibex.lib.api.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "vibex.lib.api.schema.AddressSchema",
    "EXCEPTION_HANDLER": "vibex.lib.api.problems.problem_of",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

# Tokens of programs: short access, a refresh token that is used once.
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "UPDATE_LAST_LOGIN": True,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Vibex",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # Choices stand where they are used: names of their own would change with whatever else is called the same.
    "POSTPROCESSING_HOOKS": ["vibex.lib.api.schema.common_parts"],
    "GET_MOCK_REQUEST": "vibex.lib.api.schema.mock_request",
}

# Log: one line per event, masked. `up` is the one process that writes files.
start.register_secrets(environment, SECRET_KEY, *CREDENTIALS_KEYS)
LOGGING_CONFIG = "vibex.lib.logging.configure"
LOGGING = logging.configuration(
    level=LOG_LEVEL,
    levels=LOG_LEVELS,
    files=logging.writes_files(LOG_FILES, one_process=not REDIS_URL, argv=sys.argv),
    folder=VIBEX_LOG_DIR,
    max_total_mb=LOG_MAX_TOTAL_MB,
    stdout=logging.serves(sys.argv),
)
DEFAULT_EXCEPTION_REPORTER_FILTER = "vibex.lib.reports.MaskedReports"

# Tasks and cache (and streams, `vibex.lib.events`): over Redis when several processes run, else inside this one.
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = queues.SLOW
CELERY_TASK_QUEUES = queues.celery_queues()
CELERY_TASK_ROUTES = queues.celery_routes()
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CONCURRENCY = CYCLE_THREADS  # of a worker that is not told by its command
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "vibex.beat:Scheduler"  # the DatabaseScheduler that overwrites no edit

if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_TASK_ACKS_LATE = True
    CELERY_BROKER_TRANSPORT_OPTIONS = queues.REDIS_OPTIONS
    CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its Redis as long as it takes
    CELERY_TASK_PUBLISH_RETRY_POLICY = queues.PUBLISH_RETRIES
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},  # seconds; a call waits for it
        }
    }
else:
    CELERY_BROKER_URL = "memory://localhost/"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.2}
    # Room for every caller: what is thrown out when it is full is forgotten, budgets too.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 50_000},
        }
    }

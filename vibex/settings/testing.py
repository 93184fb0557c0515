"""Settings of the tests: nothing outside the process, unless DATABASE_URL asks for PostgreSQL."""

import os

# pytest names this module directly, so nobody has chosen yet. Child processes of a test inherit the choice.
os.environ["VIBEX_ENV"] = "test"

from vibex.lib.variables import Features
from vibex.settings.base import *

SECRET_KEY = "a key for tests that protects nothing and is long enough to pass"  # noqa: S105
CREDENTIALS_KEY = None
CREDENTIALS_KEYS = ("dGhlIHRlc3RzIHNlYWwgbm90aGluZyBvZiB2YWx1ZSE=",)

# What a developer keeps in .env.local must not reach a test.
OPENROUTER_API_KEY = LLM_BASE_URL = LLM_API_KEY = LLM_MODEL = None
OPENAI_API_KEY = ANTHROPIC_API_KEY = DEEPSEEK_API_KEY = XAI_API_KEY = GEMINI_API_KEY = None
MODEL_KEYS = {}
LLM_REPLY_CACHE = False
ASTERDEX_USER = ASTERDEX_SIGNER = ASTERDEX_PRIVATE_KEY = ASTERDEX_API_KEY = ASTERDEX_API_SECRET = None
ACCOUNT_KEYS = {}
PUBLIC_URL = ""
EMAIL_URL = None
API_RATE_ADDRESS = API_RATE_USER = API_RATE_KEY = API_RATE_TRADE = API_RATE_ADMIN = (1_000_000, 60)
API_DOCS = True
CORS_ALLOWED_ORIGINS = []
FEATURES = Features()
ASSETS, INTERVAL = ("BTC", "ETH", "SOL"), "3m"
MARKET, VENUE, TRADITIONAL_PERPS = "simulated", "aster", False
ASTERDEX_REST_URL, ASTERDEX_STREAM_URL = "http://127.0.0.1:1", "ws://127.0.0.1:1"  # nobody: a test names its own
ASTERDEX_TESTNET_REST_URL, ASTERDEX_TESTNET_STREAM_URL = ASTERDEX_REST_URL, ASTERDEX_STREAM_URL
LIVE_GATE_DAYS, LIVE_GATE_DECISIONS = 14, 50
ASTERDEX_TRANSPORT = "own"
LOG_FILES = "no"
METRICS_TOKEN = SENTRY_DSN = OTEL_EXPORTER_OTLP_ENDPOINT = OTEL_EXPORTER_OTLP_HEADERS = None

if DATABASE_URL:
    # More connections than there are threads in any test, and nothing waits for the disk: no test ends the server.
    DATABASES["default"]["OPTIONS"] |= {
        "pool": {"min_size": 1, "max_size": 40, "timeout": 30},
        "options": "-c synchronous_commit=off",
    }
else:
    DATABASES["default"]["NAME"] = ":memory:"

REDIS_URL = None
CELERY_BROKER_URL = "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}
CELERY_TASK_ACKS_LATE = False
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WHITENOISE_USE_FINDERS = False
WHITENOISE_AUTOREFRESH = True

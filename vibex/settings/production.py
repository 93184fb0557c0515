"""Settings of an installation that others can reach. What it refuses to start with stands in `vibex.lib.env`."""

from vibex.settings.base import *

WHITENOISE_USE_FINDERS = False
STORAGES["staticfiles"] = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
if HTTPS:  # a browser takes a cookie of such a name from nobody but this host itself, over HTTPS
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-vibex", "__Host-vibex-csrf"
# Probes and Prometheus ask from inside, without the proxy.
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/", r"^api/health/", r"^metrics$"]
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# Preloading is for whoever owns the whole domain to decide, not for one host of it.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

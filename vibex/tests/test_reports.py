"""Django's own error page shows no secret."""

import sys

import pytest
from django.test import RequestFactory
from django.views.debug import technical_500_response

from vibex.lib import masking


@pytest.fixture(autouse=True)
def _no_secret_of_other_tests(monkeypatch):
    monkeypatch.setattr(masking, "_registered", masking._Registered())


def page_of(secret: str) -> str:
    local_secret = secret
    try:
        raise RuntimeError("the exchange refused")
    except RuntimeError:
        return technical_500_response(RequestFactory().get("/"), *sys.exc_info()).content.decode() + local_secret[:0]


def test_variables_of_frames_are_masked(settings):
    settings.DEBUG = True
    masking.register_secret("hunter2-hunter2")
    assert "hunter2" not in page_of("hunter2-hunter2")


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "LLM_API_KEY", "ACCOUNT_KEYS", "CREDENTIALS_KEYS"]
)
def test_settings_that_hold_passwords_are_hidden(settings, name):
    settings.DEBUG = True
    setattr(settings, name, "redis://user:hunter2-hunter2@host/0")
    assert "hunter2" not in page_of("")


def test_passwords_inside_the_settings_of_cache_and_streams_are_hidden(settings):
    settings.DEBUG = True
    url = "redis://user:hunter2-hunter2@host/0"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "x", "CONFIG": {"hosts": [url]}}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": url}}
    assert "hunter2" not in page_of("")

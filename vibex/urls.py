"""HTTP routes, assembled from the apps."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from vibex import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/health/", health.ready, name="health"),
    path("api/v1/health/live/", health.live, name="health-live"),
    path("api/v1/health/ready/", health.ready, name="health-ready"),
    path("api/v1/", include("vibex.api")),
    path("", include("accounts.urls")),
    path("", include("trading.urls")),
]

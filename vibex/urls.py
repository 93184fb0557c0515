"""HTTP routes, assembled from the apps."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("vibex.api")),
    path("", include("accounts.urls")),
    path("", include("trading.urls")),
]

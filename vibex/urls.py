"""HTTP routes, assembled from the apps."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from vibex import health, views
from vibex.metrics.view import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/health/", health.ReadyAlias.as_view(), name="health"),
    path("api/v1/health/live/", health.LiveView.as_view(), name="health-live"),
    path("api/v1/health/ready/", health.ReadyView.as_view(), name="health-ready"),
    path("metrics", metrics, name="metrics"),
    path("api/schema/", views.schema, name="api-schema"),
    path("api/docs/", views.documentation, name="api-docs"),
    re_path(r"^docs/?$", views.to_documentation),
    path("api/v1/", include("vibex.api")),
    re_path(r"^api/(?P<rest>.*)$", views.no_address),
    path("", include("accounts.urls")),
    path("", include("trading.urls")),
]

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.broken

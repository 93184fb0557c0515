"""Addresses of markets: instruments, candles, the market of now, feeds."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from marketdata.api.candles import CandlesView
from marketdata.api.feeds import FeedsView
from marketdata.api.instruments import InstrumentViewSet
from marketdata.api.snapshot import SnapshotView

router = SimpleRouter()
router.register("instruments", InstrumentViewSet, basename="instrument")

urlpatterns = [
    path("candles/", CandlesView.as_view(), name="candles"),
    path("snapshot/", SnapshotView.as_view(), name="snapshot"),
    path("feeds/", FeedsView.as_view(), name="feeds"),
    path("", include(router.urls)),
]

"""Addresses of decisions, interactions, cycles, shadows, the funnel and the models there are."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from decisions.api.cycles import CycleViewSet
from decisions.api.decisions import DecisionViewSet
from decisions.api.funnel import FunnelView
from decisions.api.interactions import InteractionViewSet
from decisions.api.models import ModelsView, ProvidersView
from decisions.api.shadows import ShadowsView

router = SimpleRouter()
router.register("decisions", DecisionViewSet, basename="decision")
router.register("interactions", InteractionViewSet, basename="interaction")
router.register("cycles", CycleViewSet, basename="cycle")

of_one = [
    path("decisions/", DecisionViewSet.as_view({"get": "list"}), name="decisions"),
    path("interactions/", InteractionViewSet.as_view({"get": "list"}), name="interactions"),
    path("cycles/", CycleViewSet.as_view({"get": "list"}), name="cycles"),
]

urlpatterns = [
    path("accounts/<int:account_id>/", include((of_one, "account-records"))),
    path("bots/<int:bot_id>/", include((of_one, "bot-records"))),
    path("bots/<int:bot_id>/shadows/", ShadowsView.as_view(), name="bot-shadows"),
    path("bots/<int:bot_id>/funnel/", FunnelView.as_view(), name="bot-funnel"),
    path("models/", ModelsView.as_view(), name="models"),
    path("providers/", ProvidersView.as_view(), name="providers"),
    path("", include(router.urls)),
]

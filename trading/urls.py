"""The operator's pages."""

from django.urls import path

from trading import views, views_approval, views_cycle, views_halt, views_prompts

urlpatterns = [
    path("halt/", views_halt.halt, name="halt"),
    path("halt/state/", views_halt.halt_state, name="halt-state"),
    path("", views.home, name="home"),
    path("accounts/<int:account_id>/", views.desk, name="desk"),
    path("accounts/<int:account_id>/live/", views.desk_live, name="desk-live"),
    path("accounts/<int:account_id>/equity/", views.equity, name="equity"),
    path("accounts/<int:account_id>/market/", views.market, name="market"),
    path("accounts/<int:account_id>/market/live/", views.market_live, name="market-live"),
    path("accounts/<int:account_id>/market/figure/", views.market_figure, name="market-figure"),
    path("accounts/<int:account_id>/books/", views.books, name="books"),
    path("accounts/<int:account_id>/diary/", views.diary, name="diary"),
    path("bots/<int:bot_id>/", views.bot, name="bot"),
    path("bots/<int:bot_id>/cost/", views.bot_cost, name="bot-cost"),
    path("bots/<int:bot_id>/<str:act>/", views.bot_act, name="bot-act"),
    path("cycles/<int:cycle_id>/", views_cycle.cycle, name="cycle"),
    path(
        "cycles/<int:cycle_id>/interactions/<int:interaction_id>/<str:part>/", views_cycle.cycle_text, name="cycle-text"
    ),
    path(
        "cycles/<int:cycle_id>/interactions/<int:interaction_id>/<str:part>.txt",
        views_cycle.cycle_file,
        name="cycle-file",
    ),
    path("prompts/", views_prompts.prompts, name="prompts"),
    path("prompts/add/", views_prompts.prompt_add, name="prompt-add"),
    path("prompts/of/<slug:name>/difference/", views_prompts.prompt_difference, name="prompt-difference"),
    path("prompts/of/<slug:name>/<int:version>/", views_prompts.prompt_version, name="prompt-version"),
    path("prompts/now/<int:bot_id>/", views_prompts.prompt_preview, name="prompt-preview"),
    path("approvals/", views_approval.approvals, name="approvals"),
    path("decisions/<int:decision_id>/<str:act>/", views_approval.approval_answer, name="approval-answer"),
]

"""Signing in and out, one's own password, and what one is told."""

from django.urls import path

from accounts import views, views_alerts

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="login"),
    path("sign-out/", views.SignOut.as_view(), name="logout"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("alerts/", views_alerts.alerts, name="alerts"),
    path("alerts/count/", views_alerts.count, name="alerts-count"),
    path("alerts/acknowledge/", views_alerts.acknowledge_all, name="alerts-acknowledge"),
    path("alerts/<int:alert_id>/acknowledge/", views_alerts.acknowledge, name="alert-acknowledge"),
    path("alerts/channels/", views_alerts.channels, name="alert-channels"),
    path("alerts/channels/<int:channel_id>/", views_alerts.channel, name="alert-channel"),
    path("alerts/channels/<int:channel_id>/test/", views_alerts.channel_try, name="alert-channel-test"),
    path("alerts/channels/<int:channel_id>/remove/", views_alerts.channel_remove, name="alert-channel-remove"),
]

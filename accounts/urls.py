"""Getting in and out, what is one's own, and what one is told."""

from django.urls import path

from accounts import views, views_alerts, views_profile

urlpatterns = [
    path("sign-in/", views.sign_in, name="login"),
    path("sign-out/", views.sign_out, name="logout"),
    path("register/", views.register, name="register"),
    path("password/", views.password, name="password"),
    path("password/forgotten/", views.password_forgotten, name="password-forgotten"),
    path("password/reset/<str:uid>/<str:token>/", views.password_set, name="password-set"),
    path("confirm/", views.confirm, name="confirm"),
    path("profile/", views_profile.profile, name="profile"),
    path("profile/sign-ins/end/", views_profile.sign_ins_stop, name="sign-ins-end"),
    path("profile/sign-ins/<int:sign_in_id>/end/", views_profile.sign_in_stop, name="sign-in-end"),
    path("profile/keys/", views_profile.key_add, name="key-add"),
    path("profile/keys/<int:key_id>/revoke/", views_profile.key_end, name="key-revoke"),
    path("profile/second-factor/", views_profile.second_factor, name="second-factor"),
    path("profile/second-factor/remove/", views_profile.second_factor_end, name="second-factor-remove"),
    path("profile/data/", views_profile.own_data, name="own-data-file"),
    path("alerts/", views_alerts.alerts, name="alerts"),
    path("alerts/count/", views_alerts.count, name="alerts-count"),
    path("alerts/acknowledge/", views_alerts.acknowledge_all, name="alerts-acknowledge"),
    path("alerts/<int:alert_id>/acknowledge/", views_alerts.acknowledge, name="alert-acknowledge"),
    path("alerts/channels/", views_alerts.channels, name="alert-channels"),
    path("alerts/channels/<int:channel_id>/", views_alerts.channel, name="alert-channel"),
    path("alerts/channels/<int:channel_id>/test/", views_alerts.channel_try, name="alert-channel-test"),
    path("alerts/channels/<int:channel_id>/remove/", views_alerts.channel_remove, name="alert-channel-remove"),
]

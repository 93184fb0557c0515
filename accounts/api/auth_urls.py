"""Addresses of signing in, keys, sign-ins and the second factor."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from accounts.api import auth, second_factor
from accounts.api.keys import KeyViewSet
from accounts.api.sign_ins import SignInViewSet

router = SimpleRouter()
router.register("keys", KeyViewSet, basename="key")
router.register("sign-ins", SignInViewSet, basename="sign-in")

urlpatterns: list[URLPattern | URLResolver] = [
    path("register/", auth.RegisterView.as_view(), name="auth-register"),
    path("login/", auth.LoginView.as_view(), name="auth-login"),
    path("refresh/", auth.RefreshView.as_view(), name="auth-refresh"),
    path("logout/", auth.LogoutView.as_view(), name="auth-logout"),
    path("me/", auth.MeView.as_view(), name="auth-me"),
    path("password/change/", auth.PasswordChangeView.as_view(), name="auth-password-change"),
    path("password/reset/", auth.PasswordResetView.as_view(), name="auth-password-reset"),
    path("password/reset/confirm/", auth.PasswordResetConfirmView.as_view(), name="auth-password-reset-confirm"),
    path("confirm/", auth.ConfirmView.as_view(), name="auth-confirm"),
    path("ticket/", auth.TicketView.as_view(), name="auth-ticket"),
    path("second-factor/", second_factor.SecondFactorView.as_view(), name="auth-second-factor"),
    path("second-factor/confirm/", second_factor.SecondFactorConfirmView.as_view(), name="auth-second-factor-confirm"),
    path("second-factor/remove/", second_factor.SecondFactorRemoveView.as_view(), name="auth-second-factor-remove"),
    *router.urls,
]

"""Signing in and out, and one's own password."""

from django.contrib.auth import views as stock
from django.contrib.messages.views import SuccessMessageMixin
from django.urls import reverse_lazy


class SignIn(stock.LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


class SignOut(stock.LogoutView):
    """Signs out by POST only, so that no link or picture can do it."""


class ChangePassword(SuccessMessageMixin, stock.PasswordChangeView):  # type: ignore[type-arg]
    template_name = "accounts/password.html"
    success_url = reverse_lazy("home")
    success_message = "Your password is changed."

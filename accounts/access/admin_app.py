"""The admin with the site of this project. In INSTALLED_APPS in place of `django.contrib.admin`."""

from django.contrib.admin.apps import AdminConfig


class AccessAdmin(AdminConfig):
    default_site = "accounts.access.admin_site.Site"
    default = False

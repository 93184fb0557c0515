"""Settings of a working copy and of the one-process demo."""

from vibex.settings.base import *

WHITENOISE_AUTOREFRESH = DEBUG

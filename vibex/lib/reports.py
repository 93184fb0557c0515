"""Django's error reports, masked like the log."""

import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from vibex.lib.masking import mask_value


class MaskedReports(SafeExceptionReporterFilter):
    """Hide settings whose values carry passwords inside URLs, and secrets in the variables of frames."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|COOKIE|_URL|LOCATION|hosts", flags=re.IGNORECASE
    )

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return {name: mask_value(value, name) for name, value in variables}.items()

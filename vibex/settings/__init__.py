"""Settings: what base says, completed by what VIBEX_ENV chooses.

`vibex.settings` is the module to name everywhere. pytest names `vibex.settings.testing` directly, and then nothing
else is loaded here.
"""

import os

if os.environ.get("DJANGO_SETTINGS_MODULE", "vibex.settings") == "vibex.settings":
    from vibex.settings.base import VIBEX_ENV

    if VIBEX_ENV == "prod":
        from vibex.settings.production import *
    elif VIBEX_ENV == "test":
        from vibex.settings.testing import *
    else:
        from vibex.settings.development import *

"""The application, for any WSGI server: `webhooks.wsgi:app`."""

from __future__ import annotations

import atexit
import sys

from calltrack import log
from calltrack.config import settings
from calltrack.errors import CalltrackError
from webhooks.app import create_app

try:
    log.setup(settings().log_format)
    app = create_app()
except CalltrackError as error:
    sys.exit(f"calltrack: {error.message}")

atexit.register(app.extensions["receiver"].close)

"""How long things are waited for before something is done about them: lost messages, dead workers, sick providers.

`CALLTRACK_PATIENCE` (1 by default) scales all of it in a process. It is there for trials that hurt the system and want
to see it recover within seconds: in production a small one only causes work to be done twice.
"""

from __future__ import annotations

import os

_SCALE = float(os.environ.get("CALLTRACK_PATIENCE") or 1)


def patience(seconds: float) -> float:
    """Seconds, scaled."""
    return seconds * _SCALE

"""What every provider must do. Tests of what is odd about Acme go into files of their own beside this one."""

from calltrack.testing.suite import *  # noqa: F403

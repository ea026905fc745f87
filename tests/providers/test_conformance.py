"""Every provider in the registry does what every provider must do; the tests are in the package, for others too."""

from calltrack.testing.suite import *  # noqa: F403

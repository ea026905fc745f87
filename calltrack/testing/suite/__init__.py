"""What every provider must do, by existing: its declaration is found, its fixtures are read, nothing is written for it.

# tests/test_conformance.py, where pytest runs with `-p calltrack.testing`
from calltrack.testing.suite import *
"""

from calltrack.testing.habits import test_a_bad_habit_is_survived
from calltrack.testing.suite.declaration import *
from calltrack.testing.suite.mapping import *
from calltrack.testing.suite.paging import *
from calltrack.testing.suite.signing import *
from calltrack.testing.suite.templates import *

"""One account's way to everything that its provider's API offers, for commands, tasks and the Python shell.

    from calltrack import interface

    ringba = interface.of("ringba")          # or interface.of("ringba", "east")
    ringba.call("RGB1A2…")                   # → CallRecord
    ringba.update("RGB1A2…", revenue="12.50")
    ringba.numbers(), ringba.campaigns(), ringba.report(since, until)

What a provider lacks raises `NotOffered`. Every request takes its turn in the account's budget, in the lane of what a
person waits for. What changes something at the provider is noted in the audit log.
"""

from calltrack.interface.account import Interface, of

__all__ = ["Interface", "of"]

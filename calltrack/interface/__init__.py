"""One account's way to everything that its provider's API offers, for commands, tasks and the Python shell.

    from calltrack import interface

    acme = interface.of("acme")              # or interface.of("acme", "east")
    acme.call("A1B2…")                       # → CallRecord
    acme.update("A1B2…", revenue="12.50")
    acme.numbers(), acme.campaigns(), acme.report(since, until)

What a provider lacks raises `NotOffered`. Every request takes its turn in the account's budget, in the lane of what a
person waits for. What changes something at the provider is noted in the audit log.
"""

from calltrack.interface.account import Interface, of

__all__ = ["Interface", "of"]

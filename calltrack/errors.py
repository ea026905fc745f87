"""Errors, named by what happens next.

The docstring of a class is its message when none is given. `reason` is a short machine word: it is stored, counted
and used as a label. No error may carry a secret, a body or a URL with a query string: messages end in tables,
logs and on screens. All errors survive pickling, because Celery moves them between processes.
"""

from __future__ import annotations


class CalltrackError(Exception):
    """Something went wrong."""

    reason = "error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        super().__init__(self.message)


# ── try again later ──────────────────────────────────────────────────────────────────────────────────────────────


class TryLater(CalltrackError):
    """It may work later: wait, then try the same thing again."""

    reason = "try_later"
    #: whether this try counts against the limit of tries
    counts = True

    def __init__(self, message: str | None = None, wait: float | None = None) -> None:
        super().__init__(message)
        #: seconds to wait, where somebody told us; None: use the backoff
        self.wait = wait

    def __reduce__(self) -> tuple[type[TryLater], tuple[str, float | None]]:
        return type(self), (self.message, self.wait)


class ProviderUnreachable(TryLater):
    """The provider could not be reached, or did not answer in time."""

    reason = "provider_unreachable"


class ProviderFailed(TryLater):
    """The provider answered that it has a fault of its own."""

    reason = "provider_failed"


class UnreadableAnswer(TryLater):
    """The provider's answer was not what its API promises (cut off, or not JSON)."""

    reason = "unreadable_answer"


class TooManyRequests(TryLater):
    """The provider says that we ask too often."""

    reason = "too_many_requests"
    counts = False


class BudgetSpent(TryLater):
    """The account's request budget is spent for now."""

    reason = "budget_spent"
    counts = False


class BreakerOpen(TryLater):
    """The provider failed several times in a row; we let it rest before we ask again."""

    reason = "breaker_open"
    counts = False


# ── give up on this piece of work ────────────────────────────────────────────────────────────────────────────────


class GiveUp(CalltrackError):
    """Trying again would give the same answer."""

    reason = "gave_up"


class RequestRefused(GiveUp):
    """The provider refused the request as wrong."""

    reason = "request_refused"


class NotThere(RequestRefused):
    """The provider has no such thing."""

    reason = "not_there"


class OutcomeUnknown(GiveUp):
    """Nobody knows whether the provider has done it: look there before you ask for it again."""

    reason = "outcome_unknown"


class PartlyDone(GiveUp):
    """Some of it was done, and some was not: ask only for what is left."""

    reason = "partly_done"


class AlreadyAsked(GiveUp):
    """The same was asked for before, so it is not asked for again: `calltrack audit list` says what came of it."""

    reason = "already_asked"


class NotOffered(GiveUp):
    """The provider's API has no such operation."""

    reason = "not_offered"


class EndlessPages(GiveUp):
    """The provider's paging does not end: it named a page that was already read, or more pages than there can be."""

    reason = "endless_pages"


# ── cut the work in smaller pieces ───────────────────────────────────────────────────────────────────────────────


class SliceTooLarge(CalltrackError):
    """The provider holds more records in this time range than it lets anyone page through."""

    reason = "slice_too_large"


# ── fix the configuration ────────────────────────────────────────────────────────────────────────────────────────


class FixConfiguration(CalltrackError):
    """Something must be set up before this can work."""

    reason = "fix_configuration"


class CredentialsRefused(FixConfiguration):
    """The provider refused the account's credentials."""

    reason = "credentials_refused"


# ── reject this record, go on with the rest ──────────────────────────────────────────────────────────────────────


class RejectRecord(CalltrackError):
    """The record cannot become a call."""

    reason = "unusable_record"

    def __init__(self, message: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason

    def __reduce__(self) -> tuple[type[RejectRecord], tuple[str, str]]:
        return type(self), (self.message, self.reason)


class NotACall(CalltrackError):
    """The delivery is not about a call: kept, and nothing else to do."""

    reason = "not_a_call"


# ── refuse this delivery ─────────────────────────────────────────────────────────────────────────────────────────


class RefuseDelivery(CalltrackError):
    """The delivery is refused before anything is stored."""

    reason = "refused"
    status = 400


class BadSignature(RefuseDelivery):
    """The signature is missing or wrong."""

    reason = "bad_signature"
    status = 401


class SourceRefused(RefuseDelivery):
    """The account takes no deliveries from this address."""

    reason = "source_refused"
    status = 403


class UnknownDoor(RefuseDelivery):
    """No such provider or account."""

    reason = "unknown_door"
    status = 404


class LengthRequired(RefuseDelivery):
    """A Content-Length header is required."""

    reason = "length_required"
    status = 411


class TooLarge(RefuseDelivery):
    """The body is larger than this door takes."""

    reason = "too_large"
    status = 413


class UnsupportedBody(RefuseDelivery):
    """The content type is not one this door takes: send JSON or a form."""

    reason = "unsupported_body"
    status = 415


class UnusableBody(RefuseDelivery):
    """The body cannot be read as what its content type says."""

    reason = "unusable_body"
    status = 422

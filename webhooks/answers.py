"""Answers, all of them JSON."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from werkzeug.exceptions import HTTPException

from calltrack import log
from calltrack.errors import RefuseDelivery

#: seconds that a sender is asked to wait before it tries again, where we could not take its delivery
RETRY_AFTER = 5

logger = log.get(__name__)


class NotLanded(RefuseDelivery):
    """The delivery could not be stored: send it again later."""

    reason = "not_landed"
    status = 503


class CutOff(RefuseDelivery):
    """The body stopped before its end."""

    reason = "cut_off"
    status = 408


def answer(status: int, body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), status, content_type="application/json")


def refused(refusal: RefuseDelivery) -> Response:
    """`{"error": a short word, "message": a sentence}`."""
    response = answer(refusal.status, {"error": refusal.reason, "message": refusal.message})
    if isinstance(refusal, NotLanded):
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def http_error(error: HTTPException) -> Response:
    """What Flask itself refuses: an unknown path, a wrong method, a sender that hung up."""
    response = answer(error.code or 500, {"error": error.name.lower().replace(" ", "_"), "message": error.description})
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(allowed)
    return response


def fault(error: Exception) -> Response:
    """A fault of ours. The sender gets no details, the log gets them all."""
    logger.error("a request could not be answered", exc_info=error)
    return answer(500, {"error": "internal_error", "message": "The receiver has a fault: send it again later."})

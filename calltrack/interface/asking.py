"""Sends an account's requests: filled in with its settings, in the lane of what a person waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

from calltrack import registry
from calltrack.client.answer import Answer
from calltrack.client.ask import Ask, Request
from calltrack.client.auth import QueryKeys
from calltrack.client.budget import Lane
from calltrack.client.pages import Cursor, Pages
from calltrack.client.session import Client
from calltrack.db.accounts import Account
from calltrack.errors import EndlessPages, FixConfiguration, OutcomeUnknown, UnreadableAnswer
from calltrack.interface.noted import noted
from calltrack.operations import Resource
from calltrack.sync.connections import client_for

T = TypeVar("T")
Thing = dict[str, Any]

#: pages of a list that are read at most: beyond that it does not end
MOST_PAGES = 1000


class Asking:
    """One account's way to ask."""

    def __init__(self, account: Account, number: str | None = None) -> None:
        """`number` is that of whoever asks, where the same may come twice: what is changed under it is changed once."""
        self.account = account
        settings = registry.get(account.provider).settings
        defaults = {setting.name: setting.default for setting in settings if setting.default}
        #: those that are not secret, or what stands for them
        self.settings: Mapping[str, str] = {**defaults, **account.settings}
        self._numbers = (f"{number or uuid4()}-{place}" for place in count(1))

    @property
    def client(self) -> Client:
        return client_for(self.account)

    def send(self, ask: Ask, values: Mapping[str, Any]) -> Answer:
        """The answer to this request, filled in with settings and values."""
        return self.client.send(self._request(ask, values), Lane.LIVE)

    def change(
        self, what: str, ask: Ask, values: Mapping[str, Any], read: Callable[[Answer], T], **details: object
    ) -> T:
        """Change something at the provider. The audit log has it with these details, before and after.

        Raises `OutcomeUnknown` where it must not be done twice, and its answer is lost or cannot be read.
        """
        request = self._request(ask, values)
        with noted(self.account, what, next(self._numbers), details):
            answer = self.client.send(request, Lane.LIVE)
            try:
                return read(answer)
            except UnreadableAnswer:
                if ask.repeatable:
                    raise
            raise OutcomeUnknown

    def list(self, resource: Resource) -> Iterator[Thing]:
        """All things of a kind, page by page. Raises `UnreadableAnswer` for one without an id."""

        def ask(cursor: Cursor) -> Answer:
            request = self._request(resource.ask, {})
            more = resource.pages.params(cursor) if resource.pages else {}
            return self.client.send(replace(request, params={**request.params, **more}), Lane.LIVE)

        things = paged(resource.pages, ask, resource.read) if resource.pages else resource.read(ask({}))
        for thing in things:
            if not thing["id"]:
                raise UnreadableAnswer("The provider's list holds something without an id.")
            yield thing

    def _request(self, ask: Ask, values: Mapping[str, Any]) -> Request:
        if isinstance(ask.auth, QueryKeys):
            self._need(*ask.auth.params.values())
        return ask.request({**self.settings, **values})

    def _need(self, *settings: str) -> None:
        """An operation may need keys that the account can do without otherwise."""
        for name in settings:
            if not self.account.credentials.get(name):
                label = self.account.label
                raise FixConfiguration(f"This needs {name}: `calltrack accounts update {label} --set {name}=…`.")


def paged(pages: Pages, ask: Callable[[Cursor], Answer], read: Callable[[Answer], list[Thing]]) -> Iterator[Thing]:
    """Everything on all pages. Raises `EndlessPages` where they do not end."""
    cursor = pages.first()
    for _ in range(MOST_PAGES):
        answer = ask(cursor)
        things = read(answer)
        following = pages.next(cursor, answer, len(things))
        yield from things
        if following is None or not things:
            return
        cursor = following
    raise EndlessPages


def no_answer(answer: Answer) -> None:
    """For changes whose answer tells nothing: but if it is no JSON, nobody did anything."""
    if answer.body:
        _ = answer.json

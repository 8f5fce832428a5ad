"""Who may ask a served Context: tokens, each with what answers its holder."""

import secrets
import threading
from collections.abc import Callable

from pytest_orchestrator.remote.protocol import (
    Reply,
    Request,
    RequestRefused,
    is_equal,
    wrong_token,
)


class Grant:
    """What one token opens.

    Attributes:
        token: The token.

    Args:
        token: The token.
        who: Whose it is.
        answer: Answers its holder's requests.
    """

    __slots__ = ("_answer", "_lock", "_over", "_who", "token")

    def __init__(self, token: str, who: str, answer: Callable[[Request], Reply]) -> None:
        self.token = token
        self._who = who
        self._answer = answer
        self._lock = threading.Lock()
        self._over = False

    def answered(self, request: Request) -> Reply:
        """Do what its holder asks.

        Raises:
            RequestRefused: It is over.
        """
        with self._lock:
            if self._over:
                raise RequestRefused(f"the token was that of {self._who!r}, which has ended")
            return self._answer(request)

    def end(self) -> None:
        """Let nothing be done by it any more; what is just being done is waited for."""
        with self._lock:
            self._over = True


class Grants:
    """The tokens of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[str, Grant] = {}

    def add(self, who: str, answer: Callable[[Request], Reply], token: str | None = None) -> str:
        """Let who has a token be answered; return the token, a new one where none is given."""
        token = secrets.token_urlsafe(32) if token is None else token
        if not token.isascii():  # nothing else is compared in constant time
            raise ValueError("a token is ASCII text")
        with self._lock:
            self._all[token] = Grant(token, who, answer)
        return token

    def end(self, token: str) -> None:
        """Let a token be good for nothing, once what is just being done by it is done."""
        with self._lock:
            grant = self._all.pop(token, None)
        if grant is not None:
            grant.end()

    def of(self, token: str) -> Grant:
        """Return what a token opens; how long that takes tells nothing of any token.

        Raises:
            RequestRefused: It opens nothing.
        """
        found = None
        with self._lock:
            for grant in self._all.values():
                if is_equal(token, grant.token):
                    found = grant
        if found is None:
            raise wrong_token()
        return found

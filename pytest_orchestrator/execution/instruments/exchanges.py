"""Exchanges with instruments, as the bench reports them to its listener."""

import itertools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, get_args

from pytest_orchestrator.core.events import ExchangeOperation, InstrumentExchange
from pytest_orchestrator.instrument import InstrumentError

EXCHANGED: Final = frozenset(get_args(ExchangeOperation))
"""Operations that are exchanges; the others only end a wait or a session."""

ORDERS: Final = itertools.count(1)
"""Numbers of the requests of this process, to instruments and to devices of step types."""


class Author(NamedTuple):
    """Author of requests to instruments.

    Attributes:
        recipe: Key of the recipe, or the path of a test module.
        step: Name of the step or sampled value, or of a hand-written test; empty for the bench.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None without one.
    """

    recipe: str
    step: str = ""
    attempt: int = 1
    element: int | None = None


AUTHOR: Final = ContextVar[Author | None]("AUTHOR", default=None)
"""Author of the requests of this thread; None for the bench, which sends the safe commands."""


class Exchanges:
    """Reporter of the exchanges of one bench.

    Args:
        record: Receives each exchange after its end, in the thread that has made it, with the bytes
            that were sent or received; None if there were none.
    """

    def __init__(self, record: Callable[[InstrumentExchange, bytes | None], None]) -> None:
        self._record = record

    def made(
        self,
        instrument: str,
        recipe: str,
        request: Mapping[str, Any],
        answer: Callable[[Callable[[], None]], Any],
    ) -> Any:
        """Have a request answered, report the exchange, and return the answer.

        Args:
            instrument: Name of the instrument.
            recipe: Key of the recipe that used it last, for requests of the bench itself.
            request: The request.
            answer: Sends the request, and waits for its answer; it calls its argument when it
                sends, because requests of other threads may be sent in between.
        """
        order = 0

        def sent() -> None:
            nonlocal order
            order = next(ORDERS)

        found, error, kind = None, "the step ended before the answer", "interrupted"
        try:
            found = answer(sent)
            error = kind = ""
        except InstrumentError as failure:
            error, kind = str(failure), failure.kind
            raise
        finally:
            if order and request["do"] in EXCHANGED:
                exchange = InstrumentExchange(
                    **(AUTHOR.get() or Author(recipe))._asdict(),
                    instrument=instrument,
                    order=order,
                    do=request["do"],
                    command=request.get("command", ""),
                    answer=found if isinstance(found, str) else None,
                    error=error,
                    kind=kind,
                )
                data = found if isinstance(found, bytes) else request.get("data")
                self._record(exchange, data or None)
        return found

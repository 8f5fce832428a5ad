"""The keys that `retry` of a step may have."""

from typing import Annotated

from msgspec import Struct

from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.expressions import Expression
from pytest_orchestrator.recipe.kinds import key
from pytest_orchestrator.recipe.names import TRIED

_LONGEST = 86_400.0


class Retry(Struct, frozen=True, kw_only=True):
    """How often a step is tried, and the wait between two tries."""

    attempts: Annotated[
        int,
        key("How often the step is tried in all, the first try among them.", 3, rule=rules.tries),
    ]
    delay: Annotated[
        float,
        key(
            "The wait before the second try: seconds, or a text such as `500ms`, `2s`, `1m`. "
            "The default is none.",
            "2s",
            written=int | float | str,
            rule=rules.pause,
        ),
    ] = 0.0
    backoff: Annotated[
        float,
        key("What each further wait is longer by, as a factor.", 2, rule=rules.factor),
    ] = 1.0

    until: Annotated[
        Expression | None,
        key("An expression: a try also fails where it is false.", "result.ready", names=TRIED),
    ] = None
    abort_if: Annotated[
        Expression | None,
        key(
            "An expression, asked after a try that failed: where it is true there is no other.",
            "kind == 'timeout'",
            names=TRIED,
        ),
    ] = None

    def pause(self, tried: int) -> float:
        """Return the seconds to wait after a try that failed; a day at most.

        Args:
            tried: Number of the try, from 1.
        """
        try:
            return min(self.delay * self.backoff ** (tried - 1), _LONGEST)
        except OverflowError:
            return _LONGEST if self.delay else 0.0

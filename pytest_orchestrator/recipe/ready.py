"""The keys that `ready` of a service may have."""

from typing import Annotated

from msgspec import Struct

from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.kinds import FilePath, key
from pytest_orchestrator.recipe.names import BEFORE


class Ready(Struct, frozen=True, kw_only=True):
    """When a service is ready; all that is asked for must hold."""

    file: Annotated[
        FilePath | None,
        key(
            "A file that the service writes, newer than its start.", "out/server.pid", names=BEFORE
        ),
    ] = None
    port: Annotated[
        int | None,
        key(
            "A TCP port of this machine that takes connections.",
            8080,
            names=BEFORE,
            rule=rules.port,
        ),
    ] = None
    stdout_matches: Annotated[
        str | None,
        key(
            "A regular expression that is searched in what was printed so far; `^` and `$` at "
            "lines.",
            "^listening on",
            names=BEFORE,
            rule=rules.pattern,
        ),
    ] = None
    timeout: Annotated[
        float,
        key(
            "The longest that it may take: seconds, or a text such as `500ms`, `10s`, `1m`. The "
            "default is 30 s.",
            "10s",
            names=BEFORE,
            written=int | float | str,
            rule=rules.seconds,
        ),
    ] = 30.0

"""The keys that `success` of a step may have."""

from typing import Annotated, Literal

from msgspec import Struct

from pytest_orchestrator.recipe import rules
from pytest_orchestrator.recipe.kinds import ContextPath, ExitCode, FilePath, Json, key

OF_SHELL = frozenset({"exit_code"})
"""Criteria that only a step with a process of its own can be asked for."""


class Success(Struct, frozen=True, kw_only=True):
    """The keys that ``success`` may have."""

    ctx_has_keys: Annotated[
        tuple[ContextPath, ...],
        key("Keys that the Context must have.", ["sample.message_v1"]),
    ] = ()
    files_exist: Annotated[
        tuple[FilePath, ...],
        key(
            "Files that must be there: paths or globs, relative to the rootdir.",
            ["out/report.csv", "out/*.json"],
        ),
    ] = ()
    exit_code: Annotated[
        Json,
        key(
            "The exit code of a shell step, a list of those that are as good, or `nonzero`. "
            "The default is 0.",
            0,
            written=int | Literal["nonzero"] | tuple[ExitCode, ...],
            rule=rules.exit_codes,
        ),
    ] = None

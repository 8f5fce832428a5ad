"""Project of a user with type annotations; type checkers check it with the installed package."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, assert_type

import msgspec
import pytest

from pytest_orchestrator import (
    BaseScriptlet,
    Context,
    ContextKeyError,
    ContextLike,
    get_logger,
    main,
    track_resources,
)
from pytest_orchestrator.extending import Evidence, StepEnvironment, StepType

log = get_logger(__name__)


class Measure(BaseScriptlet):
    def validate(self, ctx: Context, params: dict[str, Any]) -> None:
        assert params["volts"] <= 24

    @track_resources
    def run(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        ctx.set("psu.volts_v1", params["volts"], who="measure")
        log.info("measured")
        return {"status": "ok"}


class MeasureByName(BaseScriptlet):
    def validate(self, volts: float) -> bool:
        return volts <= 24

    @track_resources
    def run(self, ctx: Context, volts: float, load: float = 1) -> dict[str, Any]:
        ctx.set("psu.amps_v1", volts / load, who="measure")
        return {"status": "ok"}


def count(ctx: ContextLike, params: Mapping[str, Any]) -> Mapping[str, Any]:
    total = ctx.increment("psu.count_v1", by=2, who="count")
    assert_type(total, int | float)
    return {"status": "ok", "total": total}


def high(wanted: float, evidence: Evidence) -> str | None:
    result: Mapping[str, Any] = evidence.result
    return None if result["volts"] == wanted else f"{result['volts']} V"


def mistakes(ctx: Context) -> None:
    """Make mistakes, each of which a type checker reports if it sees the types."""
    ctx.set(1, "volts")  # type: ignore[arg-type]
    ctx.increment("volts", by="two")  # type: ignore[arg-type]
    ctx.sett("volts", 1)  # type: ignore[attr-defined]
    get_logger(3)  # type: ignore[arg-type]
    MeasureByName().run(ctx, volts="12")  # type: ignore[arg-type]


def history(ctx: Context) -> None:
    assert_type(ctx.get_history("psu.volts_v1"), list[dict[str, Any]])
    with pytest.raises(ContextKeyError):
        ctx.delete("nothing")


class Http(StepType):
    """Step type that requests a URL from a server."""

    name = "http"

    class Keys(msgspec.Struct):
        url: Annotated[str, msgspec.Meta(description="The address.", examples=["http://x"])]

    def run(self, keys: Keys, ctx: ContextLike, env: StepEnvironment) -> Mapping[str, Any]:
        return {"status": "ok", "url": keys.url}


def pytest_recipe_step_types(config: pytest.Config) -> Iterable[type[StepType]]:
    return [Http]


if __name__ == "__main__":
    main(Measure)

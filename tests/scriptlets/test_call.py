"""A class or function is called with what its signature asks for, once, or not at all."""

import functools
import inspect
from typing import Any

import pytest

from pytest_orchestrator.scriptlets.base import BaseScriptlet
from pytest_orchestrator.scriptlets.call import SignatureError, ValidationFailed, call

CTX = object()
PARAMS = {"gain": 1}
FIXTURES = {"tmp_path": "/tmp/x", "rig": 7}


class Greet(BaseScriptlet):
    def run(self, ctx: Any, params: Any) -> dict[str, Any]:
        return {"ctx": ctx, "params": params}


class Foreign:
    def run(self, params: Any) -> Any:
        return params


class WithFixture:
    def validate(self, params: Any, rig: Any) -> None:
        assert rig == 7

    @staticmethod
    def run(ctx: Any, params: Any, *, rig: Any) -> Any:
        return ctx, params, rig


def passed_on(function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def ctx_params(ctx: Any, params: Any) -> Any:
    return ctx, params


def params_ctx(params: Any, ctx: Any) -> Any:
    return ctx, params


def context_p(context: Any, p: Any) -> Any:
    return context, p


def a_b(a: Any, b: Any) -> Any:
    return a, b


def positional_only(ctx: Any, params: Any, /) -> Any:
    return ctx, params


def a_b_positional_only(a: Any, b: Any, /) -> Any:
    return a, b


def keywords_only(*, ctx: Any, params: Any) -> Any:
    return ctx, params


def with_defaults(ctx: Any = None, params: Any = None, verbose: bool = False) -> Any:
    assert verbose is False
    return ctx, params


@functools.wraps(ctx_params)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return ctx_params(*args, **kwargs)


async def awaited(ctx: Any, params: Any) -> Any:
    return ctx, params


class Ask:
    def __call__(self, ctx: Any, params: Any) -> Any:
        return ctx, params


@pytest.mark.parametrize(
    "target",
    [
        ctx_params,
        params_ctx,
        context_p,
        a_b,
        positional_only,
        a_b_positional_only,
        keywords_only,
        with_defaults,
        wrapped,
        passed_on(ctx_params),
        functools.partial(ctx_params),
        Ask(),
        lambda c, p, more=1: (c, p),
    ],
)
def test_a_function_that_takes_both_gets_both(target: Any) -> None:
    assert call(target, CTX, PARAMS) == (CTX, PARAMS)


@pytest.mark.parametrize(
    "target",
    [
        lambda params: params,
        lambda p: p,
        lambda p, /: p,
        lambda p, verbose=False: p,
        lambda *, params: params,
        lambda verbose=False, params=None: params,
        Foreign,
        functools.partial(ctx_params, None),
    ],
)
def test_one_parameter_is_the_params(target: Any) -> None:
    given = call(target, CTX, PARAMS)

    assert given in (PARAMS, (None, PARAMS))


@pytest.mark.parametrize("target", [lambda ctx: ctx, lambda context: context])
def test_one_that_is_named_so_is_the_context(target: Any) -> None:
    assert call(target, CTX, PARAMS) is CTX


@pytest.mark.parametrize("target", [lambda: "ran", lambda verbose="ran": verbose])
def test_a_function_may_take_nothing(target: Any) -> None:
    assert call(target, CTX, PARAMS) == "ran"


def test_fixtures_are_passed_by_their_names() -> None:
    def work(rig: Any, params: Any, tmp_path: Any = None) -> Any:
        return rig, params, tmp_path

    assert call(work, CTX, PARAMS, FIXTURES) == (7, PARAMS, "/tmp/x")
    assert call(WithFixture, CTX, PARAMS, FIXTURES) == (CTX, PARAMS, 7)


def test_a_fixture_that_nobody_asks_for_is_left_out() -> None:
    assert call(lambda params, **more: (params, more), CTX, PARAMS, FIXTURES) == (PARAMS, {})


def test_a_fixture_called_ctx_does_not_take_the_place_of_the_context() -> None:
    assert call(ctx_params, CTX, PARAMS, {"ctx": 1, "params": 2}) == (CTX, PARAMS)


def test_a_fixture_called_context_that_is_asked_for_is_given() -> None:
    assert call(context_p, CTX, PARAMS, {"context": 1}) == (1, PARAMS)
    assert call(lambda context, a, b: (context, a, b), CTX, PARAMS, {"context": 1}) == (
        1,
        CTX,
        PARAMS,
    )


def test_a_class_is_made_validated_and_run_in_this_order() -> None:
    done = []

    class Traced(BaseScriptlet):
        def __init__(self) -> None:
            done.append("made")

        def validate(self, ctx: Any, params: Any) -> None:
            done.append("validated")

        def run(self, ctx: Any, params: Any) -> dict[str, Any]:
            done.append("run")
            return {}

    call(Traced, CTX, PARAMS)

    assert done == ["made", "validated", "run"]


def test_a_scriptlet_without_validate_is_run() -> None:
    assert call(Greet, CTX, PARAMS) == {"ctx": CTX, "params": PARAMS}


def test_a_type_error_of_the_users_passes_and_nothing_runs_twice() -> None:
    ran = []

    def work(ctx: Any, params: Any) -> None:
        ran.append(1)
        raise TypeError("work() takes 1 positional argument but 2 were given")

    with pytest.raises(TypeError, match="takes 1 positional"):
        call(work, CTX, PARAMS)

    assert ran == [1]


def test_what_validate_raises_is_kept() -> None:
    class Strict(Greet):
        def validate(self, ctx: Any, params: Any) -> None:
            raise KeyError("gain")

    with pytest.raises(ValidationFailed) as caught:
        call(Strict, CTX, PARAMS)

    assert str(caught.value) == "Strict.validate refused: KeyError: 'gain'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_without_text_is_named() -> None:
    class Strict(Greet):
        def validate(self, ctx: Any, params: Any) -> None:
            assert params["gain"] == 2

    with pytest.raises(ValidationFailed, match=r"^Strict\.validate refused: AssertionError"):
        call(Strict, CTX, PARAMS)


def test_validate_may_return_false() -> None:
    class Strict:
        def validate(self) -> bool:
            return False

        def run(self) -> None:
            raise AssertionError

    with pytest.raises(ValidationFailed) as caught:
        call(Strict, CTX, PARAMS)

    assert str(caught.value) == "Strict.validate refused: it returned False"
    assert caught.value.__cause__ is None


def test_a_skip_of_pytest_passes_through_validate() -> None:
    class Skipping(Greet):
        def validate(self, ctx: Any, params: Any) -> None:
            pytest.skip("no bench")

    with pytest.raises(pytest.skip.Exception, match="no bench"):
        call(Skipping, CTX, PARAMS)


class NoRun:
    pass


class Abstract(BaseScriptlet):
    pass


class WithArguments(Greet):
    def __init__(self, port: str, *more: Any, baud: int = 9600) -> None:
        raise AssertionError


def many(dut: Any, station: Any, params: Any, *rest: Any, speed: int = 3, **more: Any) -> None:
    raise AssertionError


def keyword(*, dut: Any) -> None:
    raise AssertionError


class BadValidate(Greet):
    def validate(self, one: Any, two: Any, three: Any) -> None:  # type: ignore[override]
        raise AssertionError


TAKES = "cannot be called: it may take (ctx, params), (params) or nothing, and the step's fixtures"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            many,
            (
                f"many(dut, station, params, *rest, speed=…, **more) {TAKES} by name "
                "(here: rig, tmp_path); it wants 'dut', 'station'"
            ),
        ),
        (keyword, f"keyword(*, dut) {TAKES} by name (here: rig, tmp_path); it wants 'dut'"),
        (
            BadValidate,
            (
                f"BadValidate.validate(one, two, three) {TAKES} by name (here: rig, tmp_path); "
                "it wants 'one', 'two', 'three'"
            ),
        ),
        (NoRun, "class NoRun does not define run; write run(self, ctx, params)"),
        (Abstract, "class Abstract does not define run; write run(self, ctx, params)"),
        (
            WithArguments,
            (
                "class WithArguments is made without arguments, but wants 'port'; "
                "read them from params in run"
            ),
        ),
        (3, "a class or function is wanted, not 3"),
        (NoRun(), None),
    ],
)
def test_what_cannot_be_called_is_refused_before_it_runs(target: Any, told: str | None) -> None:
    with pytest.raises(SignatureError) as caught:
        call(target, CTX, PARAMS, FIXTURES)

    assert told is None or str(caught.value) == told


def test_without_fixtures_none_are_named() -> None:
    with pytest.raises(SignatureError) as caught:
        call(many, CTX, PARAMS)

    assert "by name; it wants" in str(caught.value)


def test_a_callable_without_a_signature_is_refused() -> None:
    class Odd:
        __signature__ = "odd"

        def __call__(self) -> None:
            raise AssertionError

    odd = Odd()

    with pytest.raises(SignatureError, match="has no signature that can be read"):
        call(odd, CTX, PARAMS)


def test_an_async_function_gives_its_coroutine() -> None:
    given = call(awaited, CTX, PARAMS)

    assert inspect.iscoroutine(given)
    given.close()


def test_frames_of_ours_are_hidden_from_pytest() -> None:
    def work() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call(work, CTX, PARAMS)

    shown = [entry.name for entry in caught.traceback if not entry.ishidden(None)]
    assert shown[-1] == "work"
    assert "call" not in shown

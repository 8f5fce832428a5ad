"""Call convention: arguments by signature, one call, or a refusal before it."""

import functools
import inspect
from typing import Any

import pytest

from pytest_orchestrator.scriptlets.base import BaseScriptlet
from pytest_orchestrator.scriptlets.call import (
    ParameterError,
    SignatureError,
    ValidationFailed,
    cache_signature,
    call,
)
from pytest_orchestrator.scriptlets.tracking import track_resources

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


def of_context(context: Any, params: Any) -> Any:
    return context, params


def positional_only(ctx: Any, params: Any, /) -> Any:
    return ctx, params


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
        of_context,
        positional_only,
        keywords_only,
        with_defaults,
        wrapped,
        passed_on(ctx_params),
        functools.partial(ctx_params),
        Ask(),
        lambda ctx, params, more=1: (ctx, params),
    ],
)
def test_a_function_with_ctx_and_params_receives_both(target: Any) -> None:
    assert call(target, CTX, PARAMS) == (CTX, PARAMS)


@pytest.mark.parametrize(
    "target",
    [
        lambda params: params,
        lambda params, /: params,
        lambda params, verbose=False: params,
        lambda *, params: params,
        lambda verbose=False, params=None: params,
        Foreign,
        functools.partial(ctx_params, None),
    ],
)
def test_a_parameter_named_params_receives_the_mapping(target: Any) -> None:
    given = call(target, CTX, PARAMS)

    assert given in (PARAMS, (None, PARAMS))


@pytest.mark.parametrize("target", [lambda ctx: ctx, lambda context: context])
def test_a_parameter_named_context_receives_the_context(target: Any) -> None:
    assert call(target, CTX, PARAMS) is CTX


def test_a_function_may_have_no_parameters() -> None:
    assert call(lambda: "ran", CTX, PARAMS) == "ran"
    assert call(lambda verbose="ran": verbose, CTX, {}) == "ran"


def test_fixtures_are_passed_by_their_names() -> None:
    def work(rig: Any, params: Any, tmp_path: Any = None) -> Any:
        return rig, params, tmp_path

    assert call(work, CTX, PARAMS, FIXTURES) == (7, PARAMS, "/tmp/x")
    assert call(WithFixture, CTX, PARAMS, FIXTURES) == (CTX, PARAMS, 7)


def test_a_fixture_without_a_parameter_is_ignored() -> None:
    assert call(lambda params, **more: (params, more), CTX, PARAMS, FIXTURES) == (PARAMS, {})


def test_a_fixture_named_ctx_does_not_replace_the_context() -> None:
    assert call(ctx_params, CTX, PARAMS, {"ctx": 1, "params": 2}) == (CTX, PARAMS)


def test_a_requested_fixture_named_context_is_passed() -> None:
    assert call(of_context, CTX, PARAMS, {"context": 1}) == (1, PARAMS)
    assert call(lambda context, ctx, gain: (context, ctx, gain), CTX, PARAMS, {"context": 1}) == (
        1,
        CTX,
        1,
    )


def test_a_class_is_instantiated_then_validated_then_run() -> None:
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


def test_a_type_error_of_user_code_propagates_without_a_second_call() -> None:
    ran = []

    def work(ctx: Any, params: Any) -> None:
        ran.append(1)
        raise TypeError("work() takes 1 positional argument but 2 were given")

    with pytest.raises(TypeError, match="takes 1 positional"):
        call(work, CTX, PARAMS)

    assert ran == [1]


def test_an_exception_of_validate_is_the_cause() -> None:
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


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (NoRun, "class NoRun does not define run; write run(self, ctx, params)"),
        (Abstract, "class Abstract does not define run; write run(self, ctx, params)"),
        (
            WithArguments,
            (
                "class WithArguments is made without arguments, but wants 'port'; "
                "read them from params in run"
            ),
        ),
        (3, "a class or function is expected, not 3"),
        (NoRun(), None),
    ],
)
def test_a_target_that_cannot_be_called_is_refused_before_it_runs(
    target: Any, message: str | None
) -> None:
    with pytest.raises(SignatureError) as caught:
        call(target, CTX, PARAMS, FIXTURES)

    assert message is None or str(caught.value) == message


def test_a_callable_without_a_signature_is_refused() -> None:
    class Odd:
        __signature__ = "odd"

        def __call__(self) -> None:
            raise AssertionError

    odd = Odd()

    with pytest.raises(SignatureError, match="has no signature that can be read"):
        call(odd, CTX, PARAMS)


def test_an_async_function_returns_its_coroutine() -> None:
    given = call(awaited, CTX, PARAMS)

    assert inspect.iscoroutine(given)
    given.close()


def test_frames_of_this_package_are_hidden_from_pytest() -> None:
    def work() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call(work, CTX, PARAMS)

    shown = [entry.name for entry in caught.traceback if not entry.ishidden(None)]
    assert shown[-1] == "work"
    assert "call" not in shown


VOLTS = {"volts": 5, "load": 2}


def volts_load(ctx: Any, volts: Any, load: Any = 1) -> Any:
    return ctx, volts, load


def volts_positional_only(start: Any = 0, volts: Any = 3, /, load: Any = 1) -> Any:
    return CTX, volts, load - start


def volts_keyword_only(*, volts: Any, load: Any = 1, context: Any) -> Any:
    return context, volts, load


def volts_before_others(volts: Any, *others: Any, load: Any, ctx: Any) -> Any:
    assert others == ()
    return ctx, volts, load


@functools.wraps(volts_load)
def volts_wrapped(*args: Any, **kwargs: Any) -> Any:
    return volts_load(*args, **kwargs)


class Supply:
    def __call__(self, ctx: Any, volts: Any, load: Any) -> Any:
        return ctx, volts, load


class Scriptlet(BaseScriptlet):
    def run(self, ctx: Any, volts: Any, load: Any = 1) -> Any:
        return ctx, volts, load


class Checked:
    def validate(self, volts: Any) -> None:
        assert volts == 5

    @staticmethod
    def run(ctx: Any, load: Any, volts: Any) -> Any:
        return ctx, volts, load


class CheckedWhole:
    def validate(self, params: Any) -> None:
        assert params == VOLTS

    @track_resources
    def run(self, ctx: Any, *, load: Any, volts: Any) -> Any:
        return ctx, volts, load


class CheckedInPart:
    def validate(self, load: Any) -> None:
        assert load == 2

    def run(self, ctx: Any, params: Any) -> Any:
        return ctx, params["volts"], params["load"]


class CheckedInPartAndRest:
    def validate(self, load: Any) -> None:
        assert load == 2

    def run(self, ctx: Any, **rest: Any) -> Any:
        return ctx, rest["volts"], rest["load"]


@pytest.mark.parametrize(
    "target",
    [
        volts_load,
        volts_positional_only,
        volts_keyword_only,
        volts_before_others,
        volts_wrapped,
        track_resources(volts_load),
        functools.partial(volts_load, load=1),
        Supply(),
        Scriptlet,
        Checked,
        CheckedWhole,
        CheckedInPart,
        CheckedInPartAndRest,
        lambda ctx, volts, params: (ctx, volts, params["load"]),
        lambda ctx, **rest: (ctx, rest["volts"], rest["load"]),
        lambda ctx, volts, **rest: (ctx, volts, rest["load"]),
        lambda volts, load, context=None: (context, volts, load),
    ],
)
def test_a_parameter_receives_the_value_of_its_name(target: Any) -> None:
    given = call(target, CTX, VOLTS)

    assert given == (CTX, 5, 2)


def test_a_parameter_without_a_value_keeps_its_default() -> None:
    assert call(volts_load, CTX, {"volts": 5}) == (CTX, 5, 1)
    assert call(volts_load, CTX, {"volts": None}) == (CTX, None, 1)
    assert call(volts_positional_only, CTX, {"volts": 5}) == (CTX, 5, 1)


def test_rest_receives_the_keys_that_no_parameter_takes() -> None:
    def one(volts: Any, **rest: Any) -> Any:
        return volts, rest

    def all_of_them(**params: Any) -> Any:
        return params

    assert call(one, CTX, VOLTS | {"ctx": 1, "a b": 2}, FIXTURES) == (
        5,
        {"load": 2, "ctx": 1, "a b": 2},
    )
    assert call(all_of_them, CTX, VOLTS) == VOLTS
    assert call(one, CTX, {"volts": 5}) == (5, {})


def test_rest_is_empty_beside_a_parameter_called_params() -> None:
    assert call(lambda params, **rest: (params, rest), CTX, VOLTS) == (VOLTS, {})


def test_rest_receives_a_key_with_the_name_of_a_positional_only_parameter() -> None:
    def one(ctx: Any, /, **rest: Any) -> Any:
        return ctx, rest

    assert call(one, CTX, {"ctx": 1}) == (CTX, {"ctx": 1})


def test_a_function_receives_fixtures_and_values() -> None:
    assert call(lambda rig, volts, ctx: (rig, volts, ctx), CTX, {"volts": 5}, FIXTURES) == (
        7,
        5,
        CTX,
    )


def many(dut: Any, station: Any, params: Any, *rest: Any, speed: int = 3, **more: Any) -> None:
    raise AssertionError


def keyword(*, dut: Any) -> None:
    raise AssertionError


def ctx_p(ctx: Any, p: Any) -> None:
    raise AssertionError


def c_p(c: Any, p: Any, more: Any = 1) -> None:
    raise AssertionError


def rest_of(ctx: Any, **rest: Any) -> None:
    raise AssertionError


def instrumented(volts: Any, instrument: Any = None) -> None:
    raise AssertionError


def ctx_params_rig(ctx: Any, params: Any, rigs: Any) -> None:
    raise AssertionError


class BadValidate:
    def validate(self, one: Any) -> None:
        raise AssertionError

    def run(self, ctx: Any, two: Any) -> None:
        raise AssertionError


class BadRun:
    def validate(self, params: Any) -> None:
        pass

    def run(self, ctx: Any, volts: Any) -> None:
        raise AssertionError


WHOLE = "a parameter called params gets the whole mapping"
FIXTURE = "a pytest fixture is named in the step's fixtures (now rig, tmp_path)"


@pytest.mark.parametrize(
    ("target", "params", "message", "key"),
    [
        (
            volts_load,
            {"voltz": 5},
            (
                "params has 'voltz' (did you mean 'volts'?), which volts_load(ctx, volts, load=…) "
                "does not take"
            ),
            "voltz",
        ),
        (
            volts_load,
            {"volts": 5, "amps": 1, "laod": 2},
            (
                "params has 'amps', 'laod' (did you mean 'load'?), which "
                "volts_load(ctx, volts, load=…) does not take"
            ),
            "amps",
        ),
        (
            volts_load,
            {},
            (
                f"params has no 'volts', which volts_load(ctx, volts, load=…) needs; {WHOLE}, and "
                f"{FIXTURE}"
            ),
            None,
        ),
        (
            ctx_p,
            {"volts": 5},
            (
                "params has 'volts', which ctx_p(ctx, p) does not take, and no 'p', which it "
                f"needs; {WHOLE}, and {FIXTURE}"
            ),
            "volts",
        ),
        (
            c_p,
            {},
            (
                "params has no 'c' and no 'p', which c_p(c, p, more=…) needs; a parameter called "
                "ctx gets the Context, and one called params gets the whole mapping, and "
                f"{FIXTURE}"
            ),
            None,
        ),
        (
            many,
            VOLTS,
            (
                "params has no 'dut' and no 'station', which many(dut, station, params, *rest, "
                f"speed=…, **more) needs; {FIXTURE}"
            ),
            None,
        ),
        (keyword, {}, f"params has no 'dut', which keyword(*, dut) needs; {FIXTURE}", None),
        (
            rest_of,
            {"ctx": 1},
            "params has 'ctx', which the plugin itself gives to rest_of(ctx, **rest)",
            "ctx",
        ),
        (
            instrumented,
            {"volts": 1, "instrument": 1},
            (
                "params has 'instrument', which the plugin itself gives to "
                "instrumented(volts, instrument=…)"
            ),
            "instrument",
        ),
        (
            ctx_params_rig,
            {},
            f"params has no 'rigs', which ctx_params_rig(ctx, params, rigs) needs; {FIXTURE}",
            None,
        ),
        (
            BadValidate,
            {"one": 1, "two": 2, "three": 3},
            "params has 'three', which BadValidate.validate(one) does not take",
            "three",
        ),
        (
            BadRun,
            {"volts": 1, "amps": 2},
            "params has 'amps', which BadRun.run(ctx, volts) does not take",
            "amps",
        ),
    ],
)
def test_params_that_do_not_fit_are_refused_before_the_call(
    target: Any, params: dict[str, Any], message: str, key: str | None
) -> None:
    with pytest.raises(ParameterError) as caught:
        call(target, CTX, params, FIXTURES)

    assert (str(caught.value), caught.value.key) == (message, key)


def test_the_correction_names_no_fixtures_outside_a_step() -> None:
    with pytest.raises(ParameterError) as caught:
        call(ctx_p, CTX, {})

    assert str(caught.value) == f"params has no 'p', which ctx_p(ctx, p) needs; {WHOLE}"


def test_an_async_function_receives_its_values() -> None:
    async def awaited(volts: Any) -> Any:
        return volts

    given = call(awaited, CTX, {"volts": 5})

    assert inspect.iscoroutine(given)
    given.close()


def test_a_signature_that_is_cached_before_the_call_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plain(ctx: object) -> object:
        return ctx

    cache_signature(plain)
    monkeypatch.setattr(inspect, "signature", None)

    assert call(plain, "the Context", {}) == "the Context"


def test_caching_a_signature_runs_no_code_of_the_user() -> None:
    read = []

    class Hostile:
        @property
        def __signature__(self) -> inspect.Signature:
            read.append(1)
            return inspect.Signature()

        def __call__(self) -> None: ...

    @functools.wraps(Hostile())
    def decorated() -> str:
        return "called"

    for target in (Hostile(), Hostile, decorated, None):
        cache_signature(target)

    assert read == []
    assert call(decorated, None, {}) == "called"
    assert read == [1]


def test_a_parameter_called_instrument_receives_the_function_that_opens_one() -> None:
    def opened(name: str) -> str:
        return f"handle of {name}"

    def named(instrument: Any, volts: int) -> Any:
        return instrument("psu"), volts

    class Checked:
        def validate(self, instrument: Any) -> None:
            assert instrument is opened

        def run(self, ctx: Any, params: Any, instrument: Any) -> Any:
            return ctx, params, instrument

    assert call(named, CTX, {"volts": 5}, {}, opened) == ("handle of psu", 5)
    assert call(Checked, CTX, {"volts": 5}, {}, opened) == (CTX, {"volts": 5}, opened)
    assert call(lambda instrument: instrument, CTX, {}, {"instrument": 7}, opened) == 7
    with pytest.raises(ParameterError) as caught:
        call(named, CTX, {"volt": 5}, {"rig": 1}, opened)
    assert str(caught.value) == (
        f"params has 'volt' (did you mean 'volts'?), which {named.__qualname__}(instrument, volts) "
        "does not take"
    )

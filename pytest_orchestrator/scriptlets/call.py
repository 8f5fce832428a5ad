"""Call convention: binds params, Context and fixtures to a signature.

Arguments are bound to the signature before the call. Code that calls, catches a TypeError and calls
again could run the step code twice.
"""

import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.core.suggestions import nearest

__tracebackhide__ = True

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_HAS_REST = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


class SignatureError(OrchestratorError, TypeError):
    """A class or function whose signature does not fit the call convention of steps."""

    slug = "signature"


class ParameterError(SignatureError):
    """A mismatch of the keys of `params` and the parameters of a function.

    Attributes:
        key: The first key that no parameter takes; None if keys are only missing.
    """

    slug = "parameter"

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message, key)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class ValidationFailed(OrchestratorError, ValueError):
    """Error: `validate` of a scriptlet returned False, or raised the `__cause__` of this error."""

    slug = "validation"


class _AnyDefault:
    """Placeholder for defaults in the text of a signature."""

    def __repr__(self) -> str:
        return "…"


_ANY_DEFAULT = _AnyDefault()


def call(
    target: object,
    ctx: object,
    params: object,
    fixtures: Mapping[str, object] | None = None,
    instrument: Callable[[str], object] | None = None,
) -> object:
    """Call a class or function with the arguments that its parameters name.

    Args:
        target: A function, or a class with a `run`. The class is instantiated without arguments;
            its `validate`, if it has one, is called before `run`. A parameter named ``ctx`` or
            ``context`` receives the Context, one named ``params`` the whole mapping, every other
            one the value of the key of its name, and ``**rest`` the keys that no other
            parameter takes. One named ``instrument`` receives the function `instrument`.
        ctx: The Context of the run.
        params: The step's `params`.
        fixtures: Values of fixtures, by the name of the parameter; None outside of a step.
        instrument: The function that returns the handle of an instrument; a fixture of that name
            replaces it. None outside of a step.

    Returns:
        The value that the function or `run` returned.

    Raises:
        SignatureError: The target cannot be called; none of its code has run.
        ParameterError: A key of `params` is missing or unknown; the function or method that
            would receive it was not called.
        ValidationFailed: `validate` raised or returned False.
    """
    by_name = {"context": ctx, **(fixtures or {}), "ctx": ctx, "params": params}
    if instrument is not None:
        by_name.setdefault("instrument", instrument)
    if type(target) is types.FunctionType and not target.__dict__:  # has the signature of its code
        code = target.__code__
        names = code.co_varnames[: code.co_argcount]
        is_plain = not code.co_kwonlyargcount and not code.co_flags & _HAS_REST
        if is_plain and by_name.keys() >= {*names}:  # no key of `params` is bound to a parameter
            return target(*[by_name[name] for name in names])
    arguments = _Arguments(by_name, params, fixtures)
    if inspect.isclass(target):
        name = target.__name__
        scriptlet = _instance(target)
        validate, function = getattr(scriptlet, "validate", None), scriptlet.run
        validated_keys: Collection[str] = ()
        if validate is not None:
            _validate(validate, f"{name}.validate", arguments, _keys(function, f"{name}.run"))
            validated_keys = _keys(validate, f"{name}.validate") or ()
        bound = arguments.bound_to(function, f"{name}.run", validated_keys)
    else:
        if not callable(target):
            raise SignatureError(f"a class or function is expected, not {target!r:.80}")
        function = target
        bound = arguments.bound_to(function, getattr(target, "__qualname__", repr(target)))
    return function(*bound.args, **bound.kwargs)


def _instance(cls: type) -> Any:
    name = cls.__name__
    missing = getattr(cls, "__abstractmethods__", None) or ()
    if missing or not callable(getattr(cls, "run", None)):
        methods = ", ".join(sorted(missing)) or "run"
        raise SignatureError(
            f"class {name} does not define {methods}; write run(self, ctx, params)"
        )
    required = [repr(parameter.name) for parameter in _required(_signature(cls, name))]
    if required:
        raise SignatureError(
            f"class {name} is made without arguments, but wants {', '.join(required)}; "
            "read them from params in run"
        )
    return cls()


def _validate(
    validate: Any, name: str, arguments: "_Arguments", run_keys: Collection[str] | None
) -> None:
    bound = arguments.bound_to(validate, name, run_keys)
    try:
        returned = validate(*bound.args, **bound.kwargs)
    except Exception as error:
        first = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        raise ValidationFailed(f"{name} refused: {first}") from error
    if returned is False:
        raise ValidationFailed(f"{name} refused: it returned False")


class _Arguments:
    """The values that a step can pass to a callable."""

    def __init__(
        self,
        by_name: Mapping[str, object],
        params: object,
        fixtures: Mapping[str, object] | None,
    ) -> None:
        self.by_name = by_name
        self.values: Mapping[str, object] = params if isinstance(params, Mapping) else {}
        self.fixtures = None if fixtures is None else sorted(fixtures)
        self.roles = {name: name for name in ("ctx", "params")}
        if "context" not in (fixtures or {}):
            self.roles["context"] = "ctx"

    def bound_to(
        self, function: Callable[..., Any], name: str, other_keys: Collection[str] | None = ()
    ) -> inspect.BoundArguments:
        """Return the bound arguments for a callable, without calling the callable.

        Args:
            function: The callable.
            name: Its name in messages.
            other_keys: Keys of `params` that the other method of its class takes; None for all.

        Raises:
            ParameterError: A key of `params` is missing or unknown.
        """
        signature = _signature(function, name)
        parameters = [each for each in signature.parameters.values() if each.kind not in _REST]
        chosen = {
            each.name: self.by_name[each.name] for each in parameters if each.name in self.by_name
        }
        unbound = self._unbound(chosen)
        first = next(iter(signature.parameters.values()), None)
        if first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL:
            # The signature of a wrapper without functools.wraps: most wrap (ctx, params).
            chosen[first.name] = tuple(self.by_name[role] for role in unbound)
            unbound = []
        others = [each for each in parameters if each.name not in self.by_name]
        own_keys = {each.name for each in others} - RESERVED
        chosen |= {name: value for name, value in self.values.items() if name in own_keys}
        missing = [
            each for each in others if each.default is each.empty and each.name not in chosen
        ]
        unknown = self._bind_rest(signature, chosen, own_keys) if "params" in unbound else []
        unknown = [key for key in unknown if other_keys is not None and key not in other_keys]
        if missing or unknown:
            raise self._mismatch(name, signature, missing, unknown)
        for each in others:
            if each.kind is inspect.Parameter.POSITIONAL_ONLY:
                # BoundArguments.args ends at the first parameter without a value.
                chosen.setdefault(each.name, each.default)
        return inspect.BoundArguments(signature, cast("Any", chosen))

    def _unbound(self, names: Collection[str]) -> list[str]:
        """Return the roles (``ctx``, ``params``) that no parameter in `names` receives."""
        bound = {self.roles.get(name) for name in names}
        return [role for role in ("ctx", "params") if role not in bound]

    def _bind_rest(
        self, signature: inspect.Signature, chosen: dict[str, Any], own_keys: Collection[str]
    ) -> list[str]:
        """Bind ``**rest`` to the keys that no parameter takes; return the keys left unbound."""
        keys = [key for key in self.values if key not in own_keys]
        rest = next(
            (each.name for each in signature.parameters.values() if each.kind is _REST[1]), None
        )
        if rest is None:
            return keys if own_keys else []  # () and (ctx) may ignore params
        reserved = {
            each.name
            for each in signature.parameters.values()
            if each.kind is not inspect.Parameter.POSITIONAL_ONLY
        } - {rest}
        chosen[rest] = {key: self.values[key] for key in keys if key not in reserved}
        return [key for key in keys if key in reserved]

    def _mismatch(
        self,
        name: str,
        signature: inspect.Signature,
        missing: Sequence[inspect.Parameter],
        unknown: Sequence[str],
    ) -> ParameterError:
        called = f"{name}{_listed(signature)}"
        known = {*self.by_name, *self.values, *RESERVED}
        free = [
            each.name
            for each in signature.parameters.values()
            if each.name not in known and each.kind not in _REST
        ]
        hints = {key: nearest(key, free) for key in unknown}
        unexplained = [
            each for each in missing if f" (did you mean '{each.name}'?)" not in hints.values()
        ]
        given = [key for key in unknown if key in RESERVED and key in signature.parameters]
        strange = [f"{key!r:.80}{hint}" for key, hint in hints.items() if key not in given]
        parts = [
            f"params has {', '.join(keys)}, which {tail}"
            for keys, tail in (
                (list(map(repr, given)), f"the plugin itself gives to {called}"),
                (strange, f"{called} does not take"),
            )
            if keys
        ]
        if unexplained:
            *most, last = [f"no '{each.name}'" for each in unexplained]
            names = f"{', '.join(most)} and {last}" if most else last
            subject = "it" if unknown else called
            parts.append(f"{'' if unknown else 'params has '}{names}, which {subject} needs")
        has_typo = len(unexplained) < len(missing)
        cures = [] if has_typo else self._cures(unexplained, self._unbound(signature.parameters))
        message = ", and ".join(parts) + (f"; {', and '.join(cures)}" if cures else "")
        return ParameterError(message, next(iter(unknown), None))

    def _cures(self, missing: Sequence[inspect.Parameter], unbound: Sequence[str]) -> list[str]:
        cures = []
        is_positional = all(each.kind in _POSITIONAL for each in missing)
        # Earlier versions passed ctx and params by position, to (ctx, p) too.
        if missing and is_positional and len(missing) <= len(unbound) and "params" in unbound:
            if len(missing) == 2:
                cures.append("a parameter called ctx gets the Context")
            cures.append(
                f"{'one' if cures else 'a parameter'} called params gets the whole mapping"
            )
        if missing and self.fixtures is not None:
            here = f" (now {', '.join(self.fixtures)})" if self.fixtures else ""
            cures.append(f"a pytest fixture is named in the step's fixtures{here}")
        return cures


_SIGNATURES: "WeakKeyDictionary[types.FunctionType, inspect.Signature]" = WeakKeyDictionary()


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    cached = _SIGNATURES.get(function) if type(function) is types.FunctionType else None
    if cached is not None:  # many steps share a function, and this takes most of the time of a call
        return cached
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise SignatureError(
            f"{name} has no signature that can be read; call it from a function of your own "
            "that takes (ctx, params)"
        ) from None
    if type(function) is types.FunctionType:
        _SIGNATURES[function] = signature
    return signature


def cache_signature(target: object) -> None:
    """Read the signature of a function before `call`; do nothing if that could run user code.

    Args:
        target: A function, which many processes will call that are forks of this one.
    """
    if type(target) is not types.FunctionType or target in _SIGNATURES:
        return
    # A decorator may give the function another signature. Since Python 3.14, annotations are
    # evaluated when they are read.
    if not target.__dict__ and getattr(target, "__annotate__", None) is None:
        _signature(target, target.__qualname__)


def _keys(function: Callable[..., Any], name: str) -> Collection[str] | None:
    """Return the keys of `params` that a callable takes; None if it takes all."""
    parameters = _signature(function, name).parameters.values()
    takes_all = any(each.name == "params" or each.kind in _REST for each in parameters)
    return None if takes_all else {each.name for each in parameters} - RESERVED


def _required(signature: inspect.Signature) -> list[inspect.Parameter]:
    parameters = signature.parameters.values()
    return [each for each in parameters if each.default is each.empty and each.kind not in _REST]


def _listed(signature: inspect.Signature) -> str:
    # Defaults and annotations are omitted, because their repr would run code of the user.
    return str(
        inspect.Signature(
            [
                each.replace(
                    annotation=each.empty,
                    default=each.empty if each.default is each.empty else _ANY_DEFAULT,
                )
                for each in signature.parameters.values()
            ]
        )
    )

"""Call convention: binds params, Context and fixtures to a signature.

To try it, and to catch TypeError, would run a step twice.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

from pytest_orchestrator.core.errors import OrchestratorError

__tracebackhide__ = True

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class SignatureError(OrchestratorError, TypeError):
    """A class or function that cannot be called as a step is."""

    slug = "signature"


class ValidationFailed(OrchestratorError, ValueError):
    """A scriptlet's own `validate` refused; what it raised is the `__cause__`."""

    slug = "validation"


class _Some:
    """Stands for any default in the text of a signature."""

    def __repr__(self) -> str:
        return "…"


_SOME = _Some()


def call(
    target: object,
    ctx: object,
    params: object,
    fixtures: Mapping[str, object] | None = None,
) -> object:
    """Call a class or function with what it asks for.

    Args:
        target: A class with a `run`, which is made without arguments and asked to `validate`
            first where it can; or a function. Both take ``(ctx, params)``, ``(params)`` or
            nothing. A parameter named ``ctx`` or ``context`` gets the Context.
        ctx: The Context of the run.
        params: The step's `params`.
        fixtures: Passed by keyword where there is a parameter of that name.

    Returns:
        What it returned.

    Raises:
        SignatureError: It cannot be called so; nothing of it has run.
        ValidationFailed: `validate` raised or returned False.
    """
    given = _Given(ctx, params, fixtures or {})
    if inspect.isclass(target):
        name = target.__name__
        scriptlet = _made(target)
        _validate(getattr(scriptlet, "validate", None), f"{name}.validate", given)
        function = scriptlet.run
        bound = given.bound_to(function, f"{name}.run")
    else:
        if not callable(target):
            raise SignatureError(f"a class or function is wanted, not {target!r:.80}")
        function = target
        bound = given.bound_to(function, getattr(target, "__qualname__", repr(target)))
    return function(*bound.args, **bound.kwargs)


def _made(family: type) -> Any:
    name = family.__name__
    missing = getattr(family, "__abstractmethods__", None) or ()
    if missing or not callable(getattr(family, "run", None)):
        methods = ", ".join(sorted(missing)) or "run"
        raise SignatureError(
            f"class {name} does not define {methods}; write run(self, ctx, params)"
        )
    wanted = [repr(one.name) for one in _required(_signature(family, name))]
    if wanted:
        raise SignatureError(
            f"class {name} is made without arguments, but wants {', '.join(wanted)}; "
            "read them from params in run"
        )
    return family()


def _validate(validate: Any, name: str, given: "_Given") -> None:
    if validate is None:
        return
    bound = given.bound_to(validate, name)
    try:
        answer = validate(*bound.args, **bound.kwargs)
    except Exception as error:
        first = f"{type(error).__name__}: {error}".rstrip(": ").partition("\n")[0]
        raise ValidationFailed(f"{name} refused: {first}") from error
    if answer is False:
        raise ValidationFailed(f"{name} refused: it returned False")


class _Given:
    """What a step has to give to a callable."""

    def __init__(self, ctx: object, params: object, fixtures: Mapping[str, object]) -> None:
        self.by_name = {"context": ctx, **fixtures, "ctx": ctx, "params": params}
        self.fixtures = sorted(fixtures)
        self.roles = {name: name for name in ("ctx", "params")}
        if "context" not in fixtures:
            self.roles["context"] = "ctx"

    def bound_to(self, function: Callable[..., Any], name: str) -> inspect.BoundArguments:
        """Find the arguments for a callable without calling it."""
        signature = _signature(function, name)
        parameters = signature.parameters
        named = [one for one in parameters if one in self.by_name]
        taken = {self.roles.get(one) for one in named}
        left = [role for role in ("ctx", "params") if role not in taken]
        free = [one for one in _required(signature) if one.name not in self.by_name]
        if len(free) > len(left) or any(one.kind not in _POSITIONAL for one in free):
            raise self._unfit(name, signature, free)
        chosen: dict[str, Any] = {one: self.by_name[one] for one in named}
        # One that stands alone is the params: (params), or (p).
        for one, role in zip(free, left[len(left) - len(free) :], strict=True):
            chosen[one.name] = self.by_name[role]
        first = next(iter(parameters.values()), None)
        if first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL:
            chosen[first.name] = tuple(self.by_name[role] for role in left)
        return inspect.BoundArguments(signature, cast("Any", chosen))

    def _unfit(
        self, name: str, signature: inspect.Signature, free: list[inspect.Parameter]
    ) -> SignatureError:
        wanted = ", ".join(repr(one.name) for one in free)
        here = f" (here: {', '.join(self.fixtures)})" if self.fixtures else ""
        return SignatureError(
            f"{name}{_listed(signature)} cannot be called: it may take (ctx, params), (params) "
            f"or nothing, and the step's fixtures by name{here}; it wants {wanted}"
        )


_SIGNATURES: "WeakKeyDictionary[types.FunctionType, inspect.Signature]" = WeakKeyDictionary()


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    known = _SIGNATURES.get(function) if type(function) is types.FunctionType else None
    if known is not None:  # many steps share a function, and this is most of what a call takes
        return known
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        raise SignatureError(
            f"{name} has no signature that can be read; call it from a function of your own "
            "that takes (ctx, params)"
        ) from None
    if type(function) is types.FunctionType:
        _SIGNATURES[function] = found
    return found


def _required(signature: inspect.Signature) -> list[inspect.Parameter]:
    parameters = signature.parameters.values()
    return [one for one in parameters if one.default is one.empty and one.kind not in _REST]


def _listed(signature: inspect.Signature) -> str:
    # Defaults and annotations are left out: their repr is the user's code.
    return str(
        inspect.Signature(
            [
                one.replace(
                    annotation=one.empty, default=one.empty if one.default is one.empty else _SOME
                )
                for one in signature.parameters.values()
            ]
        )
    )

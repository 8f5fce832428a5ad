"""Step types and criteria of plugins, as the loader reads them.

A key of a plugin is read by one of the readers of this package if it supports the type of the
key. Any other type is read as JSON and checked by msgspec. Until its expressions are evaluated, the
field holds the value as it was read. Therefore the fields of the step are not typed as those of the
plugin's class `Keys`.
"""

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, Union, cast, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from pytest_orchestrator import extending
from pytest_orchestrator.core.json_values import mapped
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.names import AFTER, BEFORE
from pytest_orchestrator.recipe.fields.readers import WORDS, keys_of, metas_of
from pytest_orchestrator.recipe.model.key_types import key
from pytest_orchestrator.recipe.model.measurements import Rule, Source
from pytest_orchestrator.recipe.model.options import Shell, Success
from pytest_orchestrator.recipe.model.step import STEP_TYPES, CodeStep, Step
from pytest_orchestrator.recipe.problems import Problems, quoted, shortened

_WORDS = {kind.__name__: word for kind, word in WORDS.items()}
_WORDS |= {"object": "a mapping", "array": "a list", "null": "null"}
_LIMITS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
)
_VALUES, _ITEMS = "additionalProperties", "items"
_HOW = "Annotated[str, msgspec.Meta(description='...', examples=['...'])]"
_HIDDEN = (
    "; an annotation uses a name that a field has, too: rename the field, and name its key with "
    "msgspec.field(name='...')"
)
"""Cure for annotations that are evaluated in the finished class, as all are since Python 3.14."""


class CustomStep(CodeStep, frozen=True, kw_only=True):
    """A step of a type that a plugin defines.

    Attributes:
        kind: The class that the plugin registered for the type.
        file: The file that contains the class; empty if unknown.
        plugin: The name of the plugin that registered it; empty if unknown.
    """

    kind: ClassVar[type[extending.StepType]]
    file: ClassVar[str]
    plugin: ClassVar[str]

    @property
    def reads_variables(self) -> bool:
        """True: the class of the type may check its steps and name their locks and secrets."""
        return True

    @property
    def own(self) -> dict[str, Any]:
        """The keys of the step that its type adds to those of all steps, with their values."""
        keys = own_keys(type(self))
        return {name: as_json(getattr(self, keys[name])) for name in keys if name in self.at}


_OWN_TYPES = {
    "http": ("pytest_orchestrator.step_types.http", "Http"),
    "prompt": ("pytest_orchestrator.step_types.prompt", "Prompt"),
    "scpi": ("pytest_orchestrator.step_types.scpi", "Scpi"),
    "serial": ("pytest_orchestrator.step_types.serial", "Serial"),
}
"""Modules and classes of the step types of this package that are imported at their first use."""


class StepTypes(Mapping[str, type[Step]]):
    """Step types by name.

    A type of this package that uses only `extending` is imported when a recipe first uses it. A
    type of a plugin with the same name replaces it, as it did before this package had the type.

    Args:
        made: The types of which the Struct exists.
    """

    def __init__(self, made: Mapping[str, type[Step]]) -> None:
        self._made = dict(made)
        self._names = dict.fromkeys((*STEP_TYPES, *_OWN_TYPES, *made))

    def __getitem__(self, name: str) -> type[Step]:
        if name not in self._made and name in _OWN_TYPES:
            module, kind = _OWN_TYPES[name]
            self._made[name] = _model(getattr(importlib.import_module(module), kind))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def of_plugins(self) -> tuple[str, ...]:
        """The names of the types that plugins have registered."""
        return tuple(
            name
            for name, model in self._made.items()
            if issubclass(model, CustomStep) and not is_own(model)
        )

    def with_type(self, model: type[CustomStep]) -> "StepTypes":
        """Return a copy with the type of a plugin.

        Raises:
            ValueError: Another plugin, or the base language, has a type of that name.
        """
        known = self._made.get(model.type)
        if known is not None and not is_own(known):
            raise ValueError(f"has the name '{model.type}', which another type of steps has")
        return StepTypes({**self._made, model.type: model})


def asks(step: Step) -> bool:
    """Return True if the type of a step asks people."""
    return isinstance(step, CustomStep) and step.kind.asks


def can_be_service(model: type[Step]) -> bool:
    """Return True if steps of a type can run in the background."""
    return not issubclass(model, CustomStep) or model.kind.background


def is_own(model: type[Step]) -> bool:
    """Return True if a step type is one of this package that uses only `extending`."""
    if not issubclass(model, CustomStep):
        return False
    return (model.kind.__module__, model.kind.__name__) == _OWN_TYPES.get(model.type)


def _model(kind: type[extending.StepType], file: str = "", plugin: str = "") -> type[CustomStep]:
    """Return the Struct for the steps of a type."""
    model: Any = msgspec.defstruct(
        f"{kind.name}_step",
        _fields(getattr(kind, "Keys", None)),
        bases=(CustomStep,),
        namespace={
            "type": kind.name,
            "kind": kind,
            "file": file,
            "plugin": plugin,
            "__doc__": kind.__doc__,
        },
        frozen=True,
        kw_only=True,
    )
    return cast("type[CustomStep]", model)


_LISTED: Final = 10
"""Most instruments that a message lists."""


class Extensions(Struct, frozen=True, kw_only=True):
    """All step types and criteria that recipes may use, and further settings of the project.

    Attributes:
        step_types: The Struct of each step type.
        success: The Struct whose fields are the keys of ``success``.
        criteria: The criteria of plugins, by name.
        shell: The shell of command lines in steps that name no shell (ini key `recipe_shell`).
        instruments: The names of the instruments of the station; None without a station file.
        shared: Those of them whose steps do not depend on each other, see `units` of recipes.
        sources: The uncertainties and calibrations of these instruments, by name.
        decision: The decision rule of recipes that name none (ini key `recipe_decision`).
        has_broken_station: True if the station file has errors, so that the names are unknown.
    """

    step_types: StepTypes = msgspec.field(default_factory=lambda: StepTypes(STEP_TYPES))
    success: type[Success] = Success
    criteria: Mapping[str, extending.Criterion] = {}
    shell: Shell = None
    instruments: tuple[str, ...] | None = None
    shared: frozenset[str] = frozenset()
    sources: Mapping[str, Source] = {}
    decision: Rule = "simple"
    has_broken_station: bool = False

    def with_instruments(
        self,
        names: Iterable[str] | None,
        shared: frozenset[str] = frozenset(),
        sources: Mapping[str, Source] | None = None,
    ) -> "Extensions":
        """Return a copy with the instruments of a station.

        Args:
            names: Their names; None for no station file.
            shared: Those whose steps do not depend on each other.
            sources: Their uncertainties and calibrations.
        """
        instruments, sources = None if names is None else tuple(names), sources or {}
        if (instruments, shared, sources) == (self.instruments, self.shared, self.sources):
            return self
        return msgspec.structs.replace(
            self, instruments=instruments, shared=shared, sources=sources
        )

    def with_settings(
        self, settings: Mapping[str, Any] | None, sources: Mapping[str, Source] | None = None
    ) -> "Extensions":
        """Return a copy with the settings of a station's instruments; None for no station file."""
        shared = frozenset(name for name, one in (settings or {}).items() if one.shared)
        return self.with_instruments(settings, shared, sources)

    def with_defaults(self, shell: Shell = None, decision: Rule = "simple") -> "Extensions":
        """Return a copy with other defaults of the shell and of the decision rule."""
        return msgspec.structs.replace(self, shell=shell, decision=decision)

    def with_broken_station(self) -> "Extensions":
        """Return a copy for a station file with errors: names of instruments are not checked."""
        return msgspec.structs.replace(self, instruments=None, has_broken_station=True)

    def check_instrument(
        self, name: str, place: Place, title: str, where: str, problems: Problems
    ) -> None:
        """Report a name that is no instrument of the station.

        Args:
            name: The name.
            place: Its place in the file.
            title: The value that has the name, as messages show it, such as ``'instrument'``.
            where: The step, as in `Reading`; may be empty.
            problems: Receives the problem.
        """
        if self.instruments is None:
            if not self.has_broken_station:
                tail = f" is {quoted(name)}, and the project has no station file"
                hint = "station.yaml, not .yml, at the rootdir, or --recipe-station FILE"
                problems.add(place, title, where, tail, hint=hint)
        elif name not in self.instruments:
            tail = f" is {quoted(name)}, which is no instrument of the station"
            names = (*self.instruments[:_LISTED], *(("...",) if self.instruments[_LISTED:] else ()))
            listed = f"it has {', '.join(names)}" if names else "it has none"
            hint = problems.suggest(name, self.instruments) or listed
            problems.add(place, title, where, tail, hint=hint)

    def with_type(
        self, kind: type[extending.StepType], file: str = "", plugin: str = ""
    ) -> "Extensions":
        """Return a copy with one more step type.

        Args:
            kind: The class that the plugin registered for the type.
            file: The file that contains the class.
            plugin: The name of the plugin, for error messages.

        Raises:
            ValueError: The class is no valid step type; the message says why.
        """
        name = getattr(kind, "name", None)
        if not _is_name(name):
            raise ValueError(f"has no good name: {name!r}; write letters, digits and _")
        if not (kind.__doc__ or "").strip():
            raise ValueError("has no docstring; its first line says what steps of it do")
        for one in kind.criteria:
            check_criterion(one, keys_of(Success))
        types = self.step_types.with_type(_model(kind, file, plugin))
        return msgspec.structs.replace(self, step_types=types)

    def with_criterion(self, one: extending.Criterion) -> "Extensions":
        """Return a copy with one more criterion.

        Raises:
            ValueError: The criterion is not valid; the message says why.
        """
        check_criterion(one, keys_of(self.success))
        criteria = {**self.criteria, one.name: one}
        success = _with_criteria(self.success, (one,))
        return msgspec.structs.replace(self, success=success, criteria=criteria)

    def of_type(self, *models: type[Step]) -> "Extensions":
        """Return a copy with the criteria that only steps of some types can have.

        Args:
            models: The Structs of the types.
        """
        own = {
            one.name: one
            for each in models
            if issubclass(each, CustomStep)
            for one in each.kind.criteria
        }
        if not own:
            return self
        criteria = {**self.criteria, **own}
        success = _of_types(self.success, models)
        return msgspec.structs.replace(self, success=success, criteria=criteria)


def check_criterion(one: extending.Criterion, taken: Iterable[str]) -> None:
    """Check that recipes can use a criterion of a plugin.

    Args:
        one: The criterion.
        taken: The names of other criteria.

    Raises:
        ValueError: The criterion is not valid; the message says why.
    """
    if not _is_name(one.name):
        raise ValueError(f"has no good name: {one.name!r}; write letters, digits and _")
    if one.name in taken:
        raise ValueError(f"has the name '{one.name}', which another criterion has")
    if not one.description:
        raise ValueError("has no description")
    try:
        msgspec.convert(one.example, one.type)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"has an example that is none of its type: {error}") from None


@lru_cache(maxsize=64)
def _of_types(success: type[Success], models: tuple[type[Step], ...]) -> type[Success]:
    """Return a Struct of criteria with those that only steps of some types can have."""
    types = [each for each in models if issubclass(each, CustomStep)]
    return _with_criteria(success, [one for each in types for one in each.kind.criteria])


def _with_criteria(
    success: type[Success], criteria: Iterable[extending.Criterion]
) -> type[Success]:
    """Return a Struct of criteria with those of a plugin; one of the same name is replaced."""
    made: Any = msgspec.defstruct(
        "Success",
        [
            (
                f"own_{one.name}",
                _read_as(one.type, one.description, one.example, AFTER),
                msgspec.field(default=None, name=one.name),
            )
            for one in criteria
        ],
        bases=(success,),
        frozen=True,
        kw_only=True,
    )
    return cast("type[Success]", made)


BUILT_IN = Extensions()
"""The step types and criteria that exist without plugins."""


def own_keys(model: type[Step]) -> dict[str, str]:
    """Return the keys that a plugin's step type adds, each with the name of its field."""
    common = keys_of(CustomStep)
    return {name: each.field for name, each in keys_of(model).items() if name not in common}


def as_json(value: Any) -> Any:
    """Convert all tuples in a value to lists."""
    return mapped(value, lambda one: one)


def check_criterion_value(hint: Any, name: str, value: Any) -> None:
    """Check the value of a plugin's criterion after its expressions were evaluated.

    Raises:
        ValueError: The value does not have the type of the criterion; the message says why.
    """
    try:
        _checked(hint, value)
    except ValueError as error:
        shown = shortened(json.dumps(value, ensure_ascii=False))
        raise ValueError(f"'{name}' is {shown}, {error}") from None


def keys_error(model: type[CustomStep], own: Mapping[str, Any]) -> str:
    """Return the error of a plugin's class `Keys` for the keys of a step; else an empty text."""
    try:
        msgspec.convert(own, model.kind.Keys)
    except msgspec.ValidationError as error:
        return _message(error)
    return ""


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and name.isascii()


def _fields(keys: Any) -> list[tuple[str, Any, Any]]:
    if not (isinstance(keys, type) and issubclass(keys, Struct)):
        raise ValueError("has no 'Keys'; they are a class of their own, derived from Struct")
    try:
        msgspec.json.Decoder(keys)
        key_fields = msgspec.structs.fields(keys)
    except Exception as error:  # noqa: BLE001 - annotations are the author's code
        hidden = "'member_descriptor' object" in str(error) or "<member '" in str(error)
        hint = _HIDDEN if hidden else ""
        raise ValueError(f"has 'Keys' that msgspec cannot read: {error}{hint}") from None
    return [_field(each) for each in key_fields]


def _field(each: FieldInfo) -> tuple[str, Any, Any]:
    name = each.encode_name
    if name in keys_of(CustomStep) or name == "type":
        raise ValueError(f"has a key '{name}', which steps of all types have")
    meta = next(iter(metas_of(each)), None)
    if meta is None or not meta.examples:
        raise ValueError(f"has a key '{name}' without description and example; write {_HOW}")
    hint = _read_as(each.type, str(meta.description), meta.examples[0], BEFORE)
    is_required = each.default is NODEFAULT and each.default_factory is NODEFAULT
    new_field = msgspec.field(name=name) if is_required else msgspec.field(name=name, default=None)
    # Prefixed: the name may be that of a field or property of all steps.
    return f"own_{each.name}", hint, new_field


def _read_as(hint: Any, description: str, example: object, names: frozenset[str]) -> Any:
    written, rule, limits = _written(hint), partial(_checked, hint), _limits(hint)
    extra = {"written": written, "rule": rule, "limits": limits, "names": names}
    return Annotated[Any, key(description, example, **extra)]


def _limits(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema keywords that limit the values of a type, such as ``minimum``."""
    schema = msgspec.json.schema(hint)
    limits = {name: schema[name] for name in _LIMITS if name in schema}
    if schema.get("minLength"):  # a text of 1 may be all of a value, or begin an expression
        limits["minLength"] = 1
    if "$ref" not in schema.get(_VALUES, {"$ref": ""}):  # a schema that the Meta itself has
        limits[_VALUES] = schema[_VALUES]
    for meta in _metas(hint):
        own = meta.extra_json_schema or {}
        limits |= {_ITEMS: own[_ITEMS]} if _ITEMS in own else {}
    if (
        "pattern" in schema
    ):  # anchored, so that the pattern for expressions can be added as an alternative
        limits["pattern"] = rf"^(?=[\s\S]*(?:{schema['pattern']}))"
    return limits


def _checked(hint: Any, value: Any) -> Any:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ValueError(_expected(hint, error) or _message(error)) from None
    return value


def _expected(hint: Any, error: msgspec.ValidationError) -> str:
    """Return the author's own words for a text that does not match a pattern, if there are any.

    Args:
        hint: The type of a key; its `Meta` may have the words as ``extra={"expected": ...}``.
        error: The error of a value.
    """
    own = next((one.extra for one in _metas(hint) if one.extra), {})
    text, _, inside = str(error).partition(" - at ")
    is_of_key = "matching regex" in text and not inside
    return f"should be {own['expected']}" if is_of_key and "expected" in own else ""


def _metas(hint: Any) -> list[msgspec.Meta]:
    """Return the instances of `Meta` in the annotation of a type."""
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return [one for one in metas if isinstance(one, msgspec.Meta)]


def _message(error: msgspec.ValidationError) -> str:
    """Rephrase an error of msgspec in the words of the recipe language."""
    text = str(error)
    for kind, word in _WORDS.items():
        text = text.replace(f"`{kind}`", word)
    text, _, path = text.replace("`", "").partition(" - at $")
    where = f" at {path.lstrip('.')}" if path else ""
    if text.startswith("Expected "):
        return f"should be {text.removeprefix('Expected ')}{where}"
    return f"{text[:1].lower()}{text[1:]}{where}"


def _written(hint: Any) -> Any:
    """Convert a type to one that a reader of this package supports; return `Any` if none does."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    origin, args = get_origin(hint), get_args(hint)
    if hint in WORDS or (origin is Literal and all(isinstance(word, str) for word in args)):
        return hint
    if origin is list or (origin is tuple and args[1:] == (...,)):
        inner: Any = _written(args[0])
        return tuple[inner, ...]
    if origin is dict and args[0] is str:
        value: Any = _written(args[1])
        return dict[str, value]
    if origin in {Union, UnionType}:
        kinds = [_written(each) for each in args if each is not NoneType]
        lists = [each for each in kinds if get_origin(each) is tuple]
        return Union[*kinds] if Any not in kinds and not lists[1:] else Any
    return Any

"""Step reader: one step node with its nested mappings and the defaults of the file.

Each default is checked once, at its place in `defaults`. It is then read for each step as if the
step had the key itself; so the rules for expressions in a step apply to it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from pytest_orchestrator.core.location import Place, key_path_text
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.extending import KeyPath, KeyProblem, Project, StepSpec, WrittenStep
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.expressions.names import ELEMENT, UNIT
from pytest_orchestrator.recipe.fields.extensions import (
    CustomStep,
    Extensions,
    keys_error,
    own_keys,
)
from pytest_orchestrator.recipe.fields.readers import (
    Reading,
    examples_of,
    fields_of,
    keys_of,
    needed,
)
from pytest_orchestrator.recipe.fields.values import Templates, Values
from pytest_orchestrator.recipe.loader.environment import (
    VARIABLES,
    use_one_field,
    with_environment,
)
from pytest_orchestrator.recipe.loader.include import OWN, UseStep
from pytest_orchestrator.recipe.loader.matrix import check_foreach, check_matrix, without_null_list
from pytest_orchestrator.recipe.model.options import Retry
from pytest_orchestrator.recipe.model.recipe import Defaults
from pytest_orchestrator.recipe.model.step import (
    SIDE_BY_SIDE,
    CodeStep,
    PythonStep,
    ShellStep,
    Step,
)
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, nodes_of, pairs
from pytest_orchestrator.recipe.problems import OTHER_WORDS, Problems, either, quoted, unknown_key
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

_NESTED: Final = ("retry", "ready", "outputs", "measurements")
"""Keys that are read by `nested.READERS`, which is imported only for a step that has one."""

_OF_SEVERAL_TYPES: Final = frozenset({"cwd"})
_TWINS: Final = {"args": "params", "params": "args"}
"""Keys with the same purpose: the parameters of programs, and those of Python functions."""

_VERSION: Final = r"_v\d+\Z"


class Draft(Struct):
    """A step that is read, but whose position in the execution order is not known yet.

    Attributes:
        model: The Struct of its type; `Step` if the type is unknown.
        node: The YAML mapping of the step.
        title: Its name in messages, such as ``step 'flash'`` or ``step 3``.
        fields: The fields that are in the file and could be read.
        at: The place of the value of each key in the file, as in `Step`.
        expressions: All expressions in its values.
    """

    model: type[Step]
    node: Node
    title: str
    fields: dict[str, Any]
    at: dict[str, Place]
    expressions: tuple[Expression, ...] = ()

    @property
    def name(self) -> str:
        """The name of the step; empty if it has no valid name."""
        name: str = self.fields.get("name", "")
        return name

    @property
    def awaited(self) -> tuple[str, ...]:
        """The names of all steps that the step waits for: those in `needs` and in `after`."""
        return (*self.fields.get("needs", ()), *self.fields.get("after", ()))

    def node_of(self, key: str) -> Node:
        """Return the node of the value of a key that the step has."""
        return pairs(self.node)[key][1]


class Origin(Struct, frozen=True):
    """The file of a recipe, for the hooks of step types.

    Attributes:
        project: The project.
        recipe: The path of the file.
    """

    project: Project
    recipe: str

    def with_extras(self, node: Node) -> "Origin":
        """Return a copy with the extras in the value of ``requires``, which may be invalid."""
        found = pairs(node).get("extras") if type(node) is MappingNode else None
        listed = found[1].value if found and type(found[1]) is SequenceNode else ()
        extras = tuple(each.value for each in listed if type(each) is ScalarNode)
        return Origin(Project(root=self.project.root, extras=extras), self.recipe)


class StepFile(Struct, frozen=True):
    """Content of a file for the reader of its steps.

    Attributes:
        values: Reads the values of the file.
        problems: Receives the problems.
        shared: The defaults of the file that have no problem.
        known: The step types and criteria that exist.
        origin: The project and the path of the recipe.
        scope: The default of `scope`; empty in a recipe without `units`.
    """

    values: Values
    problems: Problems
    shared: Pairs
    known: Extensions
    origin: Origin
    scope: str = ""


def read_step(node: Node, title: str, file: StepFile) -> Draft | None:
    """Read one step.

    Args:
        node: An item of ``steps`` or ``finally``.
        title: Name of the item in messages if the step has no name, such as ``step 3``.
        file: The file.

    Returns:
        The step, or None if the item is no mapping.
    """
    if type(node) is MappingNode:
        return _StepReader(node, title, file).draft(file.shared)
    kind = Reading(file.values, file.problems, "", Templates()).kind(node)
    if kind:
        place = file.values.place(node)
        file.problems.add(place, f"{title} is {kind}, should be a mapping of its keys")
    return None


class _StepReader:
    """Reader of one step, with the checks that do not depend on other steps."""

    def __init__(self, node: MappingNode, title: str, file: StepFile) -> None:
        values, problems = self._values, self._problems = file.values, file.problems
        self._origin, self._known, self._types = file.origin, file.known, file.known.step_types
        self._found_before = len(problems.found)
        self._node, self._pairs = node, pairs(node)
        self._hints: set[str] = set()
        name = self._pairs["name"][1] if "name" in self._pairs else None
        named = name.value if type(name) is ScalarNode else ""
        self._title = f"step {quoted(named)}" if named else title
        self._where = f" in {self._title}"
        self._model = self._type()
        self._typed = f"{self._model.type} {self._title}".lstrip()
        self._where = f" in {self._typed}"
        self._templates = Templates()
        self._reading = Reading(
            values,
            problems,
            self._where,
            self._templates,
            element_names=ELEMENT if "foreach" in self._pairs else frozenset(),
            unit_names=UNIT if self._scope(file.scope) in SIDE_BY_SIDE else frozenset(),
            examples=examples_of(self._model) if issubclass(self._model, CustomStep) else {},
        )

    def _scope(self, default: str) -> str:
        """Return the scope of the step; empty in a recipe without `units`."""
        node = self._pairs["scope"][1] if "scope" in self._pairs and default else None
        return node.value if type(node) is ScalarNode else default

    def draft(self, shared: Pairs) -> Draft:
        """Read the keys of the step, and return the draft."""
        key_nodes = self._pairs
        if self._model is not UseStep:
            key_nodes = with_defaults(key_nodes, shared, self._model, is_service=self._is_service)
            key_nodes = self._with_environment(key_nodes, shared)
        key_nodes = without_null_list(key_nodes, self._reading)
        fields = fields_of(self._model, key_nodes, self._reading, self._unknown)
        if "success" in self._pairs:
            from pytest_orchestrator.recipe.loader.criteria import criteria_of

            success = self._pairs["success"][1]
            fields["success"] = criteria_of(success, self._reading, self._model, self._known)
        for key in filter(key_nodes.__contains__, _NESTED):
            from pytest_orchestrator.recipe.fields.nested import READERS

            reading = structs.replace(self._reading, path=(key,))
            fields[key] = READERS[key](key_nodes[key][1], reading)
        if self._model is UseStep:
            self._check_use()
        if "matrix" in key_nodes:
            self._check_matrix(key_nodes["matrix"][1], fields)
        self._check_missing(key_nodes)
        if "foreach" in self._pairs or "fail_fast" in self._pairs:
            check_foreach(self._pairs, self._reading, is_service=self._is_service)
        use_one_field(self._model, fields, self._templates)
        self._check_command(key_nodes, fields)
        if self._model is PythonStep:
            self._check_callable()
        if issubclass(self._model, CustomStep):
            self._add_default_criteria(self._model, fields)
            self._check_own(self._model, fields, key_nodes)
        fields["templates"] = tuple(self._templates.found)
        at, expressions = self._places(key_nodes), tuple(self._templates.expressions)
        return Draft(self._model, self._node, self._title, fields, at, expressions)

    def _add_default_criteria(self, model: type[CustomStep], fields: dict[str, Any]) -> None:
        """Add the criteria that hold for a plugin's step type and that the step does not say."""
        if model.kind.criteria and "type" in self._pairs:
            from pytest_orchestrator.recipe.loader.criteria import default_criteria

            written = fields.get("success", ())
            place = self._values.place(self._pairs["type"][1])
            fields["success"] = (*written, *default_criteria(model, written, place))

    def _with_environment(self, key_nodes: Pairs, shared: Pairs) -> Pairs:
        """Return the keys of the step with the variables of its file and its own ones merged."""
        if self._pairs.keys().isdisjoint(VARIABLES) and shared.keys().isdisjoint(VARIABLES):
            return key_nodes
        keys = VARIABLES if issubclass(self._model, ShellStep) else ("env",)
        is_other = self._model in (Step, UseStep)
        if is_other or not any(key in self._pairs or key in shared for key in keys):
            return key_nodes
        own, layers = (
            {key: given[key] for key in keys if key in given} for given in (self._pairs, shared)
        )
        return with_environment(own, key_nodes, layers, self._reading)

    def _places(self, key_nodes: Pairs) -> dict[str, Place]:
        """Return the places of the keys, and those of entries by names such as ``params.volts``."""
        place, entries = self._values.place, {"matrix": 1}
        at = {key: place(node) for key, (_, node) in key_nodes.items()}
        at[""] = place(self._node)
        if issubclass(self._model, CustomStep):
            for name in sorted(own_keys(self._model).keys() & self._pairs.keys()):
                values = nodes_of(self._pairs[name][1], (name,))
                at |= {key_path_text(path): place(node) for path, node in values}
        if issubclass(self._model, CodeStep):
            entries["env"] = 0  # a name is marked and not its value
        elif "env" in key_nodes:  # see `use_one_field`
            at["args"] = at["env"]
        if self._model is PythonStep:
            entries["params"] = 0
        for key, part in entries.items():
            node = key_nodes[key][1] if key in key_nodes else None
            if type(node) is MappingNode:
                at |= {f"{key}.{name}": place(pair[part]) for name, pair in pairs(node).items()}
        return at

    def _check_matrix(self, node: Node, fields: dict[str, Any]) -> None:
        """Check the matrix, and that no key of ``outputs`` is the same in all of its cells."""
        check_matrix(node, self._reading)
        if not fields.get("outputs"):
            return
        keys = pairs(self._pairs["outputs"][1])
        places = {self._values.place(value): name for name, value in keys.values()}
        axes = [name for name in fields.get("matrix", {}) if name not in ("include", "exclude")]
        for output in fields["outputs"]:
            expressions = output.key_template.expressions if output.key_template else ()
            if any(chain.root == "matrix" for one in expressions for chain in one.reads):
                continue
            version = re.search(_VERSION, output.key)
            at = version.start() if version else len(output.key)
            axis = next(iter(axes), "name")
            hint = f"write {output.key[:at]}_${{{{ matrix.{axis} }}}}{output.key[at:]}"
            tail = f" has the key {quoted(output.key)}, which all cells of the matrix would write"
            self._reading.report(places[output.place], "outputs", tail, hint)

    @property
    def _is_service(self) -> bool:
        node = self._pairs["background"][1] if "background" in self._pairs else None
        return type(node) is ScalarNode and self._values.scalar(node) is True

    def _note(self, node: Node, head: str, hint: str = "") -> None:
        self._problems.add(self._values.place(node), head, self._where, hint=hint)

    def _type(self) -> type[Step]:
        """Return the type that the step names, else the type that has its keys, else `Step`."""
        node = self._pairs["type"][1] if "type" in self._pairs else None
        type_name = self._values.scalar(node) if type(node) is ScalarNode else None
        if "use" in self._pairs:
            if node is not None:
                self._note(
                    self._pairs["type"][0], "'type' beside 'use'", "the used steps have types"
                )
            return UseStep
        if isinstance(type_name, str) and type_name in self._types:
            return self._types[type_name]
        if node is not None:
            likely = self._bad_type(node, type_name)
            return self._types[likely] if likely else Step
        owners = self._owners()
        if not self._misspelt_type():
            cures = [f"its '{self._own(each)[0]}' says: type: {each.type}" for each in owners]
            self._note(
                self._node, "missing 'type'", hint=cures[0] if len(cures) == 1 else self._listed
            )
        return owners[0] if len(owners) == 1 else Step

    @property
    def _listed(self) -> str:
        return f"a step has a type: {either(self._types)}"

    def _misspelt_type(self) -> bool:
        strange = [key for key in self._pairs if key not in keys_of(Step)]
        return any(self._problems.suggest(key, ["type"]) for key in strange)

    def _bad_type(self, node: Node, type_name: object) -> str:
        """Report an unknown type; return the type that was probably intended, or ``""``."""
        if isinstance(type_name, str):
            hint = self._problems.suggest(type_name, self._types)
            self._note(node, f"unknown type {quoted(type_name)}", hint=hint or self._listed)
            return next((name for name in self._types if f"'{name}'" in hint), "")
        wanted = either([f"'{name}'" for name in self._types])
        Reading(self._values, self._problems, self._where, Templates()).report_kind(
            node, "type", wanted
        )
        return ""

    def _owners(self) -> list[type[Step]]:
        """Return the step types that add a key that the step has.

        If a type and a type derived from it both qualify, only the base is returned, unless the
        derived type has more of the keys.
        """
        owners: list[type[Step]] = []
        for model in self._types.values():
            own = self._own(model)
            related = next((other for other in owners if issubclass(model, other)), None)
            if own and related is None:
                owners.append(model)
            elif related is not None and len(own) > len(self._own(related)):
                owners[owners.index(related)] = model
        return owners

    def _own(self, model: type[Step]) -> list[str]:
        """Return the keys of this step that only steps of the type `model` may have."""
        own = keys_of(model).keys() - keys_of(Step).keys() - _OF_SEVERAL_TYPES
        return [key for key in self._pairs if OTHER_WORDS.get(key, key) in own]

    def _unknown(self, name: str, node: Node) -> None:
        if name == "type":
            return
        if name == "with":
            self._note(node, "'with' without 'use'")
            return
        owner = next((each for each in self._types.values() if name in keys_of(each)), None)
        if owner and self._model is not Step:
            self._foreign(name, node, owner.type)
        elif not owner and not (self._model is Step and "type" in self._pairs):  # of its own type
            is_use = self._model is UseStep
            known = ["type", *(key for key in keys_of(self._model) if not is_use or key in OWN)]
            hint = unknown_key(name, known, self._problems, exclude=self._pairs)
            self._hints.add(hint)
            self._note(node, f"unknown key {quoted(name)}", hint=hint)

    def _is_intended(self, key: str) -> bool:
        return key in self._pairs or f"did you mean '{key}'?" in self._hints

    def _check_missing(self, key_nodes: Pairs) -> None:
        for name in needed(self._model):
            if name not in key_nodes and not self._is_intended(name):
                cures = {"cmd": "'shell' names what runs it"} if "shell" in key_nodes else {}
                self._note(self._node, f"missing '{name}'", cures.get(name, ""))

    def _check_own(self, model: type[CustomStep], fields: dict[str, Any], key_nodes: Pairs) -> None:
        """Check the keys of a plugin's step with the class of the plugin, and report its errors."""
        keys = own_keys(model)
        own_values = {
            name: fields[keys[name]]
            for name in keys
            if name in self._pairs and keys[name] in fields
        }
        is_good = len(self._problems.found) == self._found_before
        # The class checks keys with expressions after all expressions have values.
        if is_good and not any(one.path[0] in keys.values() for one in self._templates.found):
            wrong = keys_error(model, own_values)
            if wrong:
                self._note(self._node, wrong)
                is_good = False
        from pytest_orchestrator.recipe.fields import type_hooks

        if not any(type_hooks.defines(model.kind, hook) for hook in _LOAD_HOOKS):
            return
        templates = [one for one in self._templates.found if one.path[0] in fields]
        step = WrittenStep(
            step=fields.get("name", ""),
            recipe=self._origin.recipe,
            keys=type_hooks.keys_with_defaults(model, own_values, templates),
            common=self._common(key_nodes, keys),
            places={path: self._values.place(node) for path, node in nodes_of(self._node)},
        )
        self._call_hooks(model, step, is_good=is_good)

    def _call_hooks(self, model: type[CustomStep], step: WrittenStep, *, is_good: bool) -> None:
        """Learn the secrets of a step for messages, and report what is wrong in a good step."""
        from pytest_orchestrator.recipe.fields import type_hooks

        try:
            spec = StepSpec(step=step.step, recipe=step.recipe, keys=step.keys)
            self._problems.secrets += type_hooks.called(model, "secrets", spec)
            if not is_good:
                return
            wrongs = type_hooks.called(model, "check", step, self._origin.project)
            names = type_hooks.called(model, "instruments", spec)
        except type_hooks.HookError as error:
            if is_good:
                self._note(self._pairs["type"][1], str(error))
            return
        for each in wrongs:
            self._report_key(each, step.places)
        for name in names:
            self._check_instrument(name, step)

    def _check_instrument(self, name: str, step: WrittenStep) -> None:
        """Report an instrument that the station does not have, at the value that names it."""
        from pytest_orchestrator.recipe.fields import type_hooks

        path = type_hooks.path_of(name, step.keys)
        title = f"'{key_path_text(path)}'" if path else "its instrument"
        place = step.places.get(path, step.places[()])
        self._known.check_instrument(name, place, title, self._where, self._problems)

    def _common(self, key_nodes: Pairs, own: Mapping[str, str]) -> dict[str, Any]:
        """Return the keys of the step that steps of all types have, as they are written."""
        from pytest_orchestrator.recipe.fields import type_hooks

        values = self._values.quiet()
        return {
            name: type_hooks.as_written(values.json(node))
            for name, (_, node) in key_nodes.items()
            if name not in own
        }

    def _report_key(self, wrong: KeyProblem, places: Mapping[KeyPath, Place]) -> None:
        """Report a mistake that the class of a plugin found, at the value or around it."""
        path: KeyPath = (wrong.path,) if isinstance(wrong.path, str) else tuple(wrong.path)
        named = f"'{key_path_text(path)}'" if path else ""
        while path not in places:
            path = path[:-1]
        head, where = (named, self._where) if named else (self._typed, "")
        tail = f" {one_line(wrong.message)}"
        self._problems.add(places[path], head, where, tail, hint=one_line(wrong.hint))

    def _check_use(self) -> None:
        for name, (node, _) in self._pairs.items():
            if name not in OWN and name in keys_of(UseStep):
                self._note(node, f"'{name}' belongs to the steps of the file that is used,")
        with_node = self._pairs["with"][1] if "with" in self._pairs else None
        if type(with_node) is ScalarNode:
            self._reading.report_kind(with_node, "with", "a mapping")

    def _check_command(self, key_nodes: Pairs, fields: dict[str, Any]) -> None:
        command = fields.get("cmd")
        if not issubclass(self._model, ShellStep) or not command:
            return
        shell = fields.setdefault("shell", None if "shell" in key_nodes else self._known.shell)
        if not isinstance(command, str):  # a list is executed without a shell
            if "shell" in self._pairs:
                key = self._pairs["shell"][0]
                hint = "a list is executed as it is: leave 'shell' out, or write cmd as text"
                self._note(key, "'shell' beside a 'cmd' that is a list", hint)
            shell = fields["shell"] = None
        for one in self._templates.found:
            if one.path[0] != "cmd":
                continue
            wrong = command_line.problem(one, command, shell)
            if wrong:
                self._problems.add(one.place, "an expression", self._where, wrong)

    def _check_callable(self) -> None:
        both = [key for key in ("class", "function") if key in self._pairs]
        if len(both) == 2:
            head = "'class' and 'function'"
            self._note(self._pairs["function"][0], head, hint="give one of them")
        elif not self._is_intended("class") and not self._is_intended("function"):
            self._note(self._node, "missing 'class' or 'function'")

    def _foreign(self, name: str, node: Node, owner: str) -> None:
        head = f"'{name}' belongs to {owner} steps"
        twin = _TWINS.get(name, "")
        hint = f"its values go into '{twin}'" if twin in keys_of(self._model) else ""
        self._problems.add(
            self._values.place(node), head, f", and this is {self._typed}", hint=hint
        )


_LOAD_HOOKS = ("check", "secrets", "instruments")
"""Hooks of step types that are called when a recipe is read."""

_OF_ITS_END = frozenset({"isolation", "parse"})
"""Keys that a service cannot have, because they describe how a step returns."""


def read_defaults(node: Node, reading: Reading) -> tuple[Defaults, Pairs]:
    """Read the root key ``defaults``.

    Args:
        node: The value of ``defaults``.
        reading: Receives the problems.

    Returns:
        The values, and the nodes of the keys that have no problem.
    """
    if type(node) is not MappingNode or node.tag == BROKEN:
        reading.report_kind(node, "defaults", "a mapping")
        return Defaults(), {}
    valid: Pairs = {}
    fields: dict[str, Any] = {}
    for name, pair in pairs(node).items():
        before = len(reading.problems.found)
        fields |= _fields({name: pair}, reading)
        if len(reading.problems.found) == before:
            valid[name] = pair
    return Defaults(**fields), valid


def _fields(key_nodes: Pairs, reading: Reading) -> dict[str, Any]:
    def unknown(name: str, node: Node) -> None:
        place, keys = reading.values.place(node), keys_of(Defaults)
        hint = unknown_key(name, keys, reading.problems)
        reading.problems.add(place, f"unknown key {quoted(name)} in 'defaults'", hint=hint)

    fields = fields_of(Defaults, key_nodes, reading, unknown, "defaults.")
    if "retry" in key_nodes:
        from pytest_orchestrator.recipe.fields.nested import read_nested

        retry = read_nested(Retry, key_nodes["retry"][1], "defaults.retry", reading)
        fields["retry"] = retry and Retry(**retry)
    return fields


def with_defaults(own: Pairs, defaults: Pairs, model: type[Step], *, is_service: bool) -> Pairs:
    """Return the keys of a step, completed by the defaults.

    Args:
        own: The keys of the step.
        defaults: The defaults of the file.
        model: The Struct of its type.
        is_service: True for a step with `background: true`.
    """
    if not defaults:
        return own
    allowed: Any = keys_of(CodeStep if issubclass(model, CustomStep) else model).keys() - (
        _OF_ITS_END if is_service else set()
    )
    if not issubclass(model, ShellStep):
        allowed -= {"cwd"}  # it is the directory of commands
    completed = {
        name: pair for name, pair in defaults.items() if name in allowed and name not in own
    }
    completed |= own
    return completed

"""Static view of one step: the Context keys that it reads and writes, and its `params`.

Its keys come from the recipe, the scriptlet and the script. Only certain mismatches of `params`
with the class or function are reported: the check stops at a decorator that may change the
signature, at a base class of another module, and where the mapping is passed to unknown code.
"""

import ast
import builtins
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest, similar, similar_module
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.python_source import (
    ANY,
    UNKNOWN,
    Flow,
    Function,
    Recorder,
    arguments,
    flow_of,
)
from pytest_orchestrator.recipe.analysis.source_files import Module, Sources
from pytest_orchestrator.recipe.expressions.expression import OPENING
from pytest_orchestrator.recipe.fields.resolve import (
    all_expressions,
    expressions_of_uses,
)
from pytest_orchestrator.recipe.model.options import Output
from pytest_orchestrator.recipe.model.step import FileUse, PythonStep, ShellStep, SshStep, Step

_SPEAKS = lazy_pattern(r"update_state|pytest[-_]orchestrator")
_WRITES = lazy_pattern(
    r"(?:update_state\.sh|pytest-orchestrator\s+ctx)[\"']?\s+(set|append|increment)\s+(\S+)"
)
_KEY = lazy_pattern(r"[\w.-]+")
_METHODS = frozenset({"get", "keys", "to_dict", "get_history", "last_modified"})


class ContextRead(NamedTuple):
    """A Context key that a step reads.

    Attributes:
        key: The key, or a path below one.
        place: The place in the recipe that reads it, or that names the scriptlet.
        phrase: The verb phrase for messages, such as ``reads ctx.psu.volts_v1``.
        is_late: True if the step reads it only after the step code has run.
        is_sure: True if the step fails without it.
        use: The `use` whose expression reads it; None if the step itself reads it.
    """

    key: str
    place: Place
    phrase: str
    is_late: bool
    is_sure: bool
    use: FileUse | None = None


class Write(NamedTuple):
    """A Context key that a step writes.

    Attributes:
        key: The key; ``*`` stands for a computed part.
        how: ``set``, ``append`` or ``increment``; empty if the step only promises that the key
            exists.
        place: The place in the recipe that writes it, or that names the scriptlet.
    """

    key: str
    how: str
    place: Place

    def may_create(self, key: str) -> bool:
        """Return True if a Context path may exist after this write."""
        start, computed, _ = self.key.partition(ANY)
        if computed:
            return key.startswith(start) or start.startswith(f"{key}.")
        return key == start or key.startswith(f"{start}.") or start.startswith(f"{key}.")


class StepFlow(NamedTuple):
    """Context keys that a step reads and writes.

    Attributes:
        reads: The keys that it reads.
        writes: The keys that it writes itself.
        promises: The keys that its criterion `ctx_has_keys` requires after the step.
        is_open: True if the step may write keys that the analysis cannot find.
        is_opaque: True if its program cannot be analysed; the program may write the promised
            keys.
    """

    reads: tuple[ContextRead, ...]
    writes: tuple[Write, ...]
    promises: tuple[Write, ...]
    is_open: bool
    is_opaque: bool


UNSEEN = StepFlow((), (), (), is_open=True, is_opaque=True)
"""Flow of a step that cannot be analysed."""


def step_flow(step: Step, sources: Sources, fixtures: Collection[str]) -> StepFlow:
    """Return the Context keys that a step reads and writes.

    Args:
        step: The step.
        sources: The files of the project.
        fixtures: The fixtures of its recipe.
    """
    flow, place, shown = _step_code(step, sources, {*fixtures, *step.fixtures})
    kept = [one for one in step.success if one.name == "ctx_has_keys" and _is_plain(one.expected)]
    wants = [*_expressions(step)]
    wants += [
        ContextRead(str(one.expected), one.place, f"is to leave '{one.expected}'", True, True)
        for one in kept
    ]
    wants += [
        ContextRead(one.key, place, f"reads '{one.key}' ({shown}:{one.line})", False, False)
        for one in dict.fromkeys(flow.reads)
        if one.key not in flow.optional
    ]
    return StepFlow(
        reads=tuple(wants),
        writes=(
            *(Write(key, how, place) for key, how in sorted(flow.writes)),
            *(Write(_key_of(one), "set", one.place) for one in step.outputs),
        ),
        promises=tuple(Write(str(one.expected), "", one.place) for one in kept),
        is_open=flow.is_open,
        is_opaque=not shown,
    )


def _key_of(output: Output) -> str:
    """Return the key of an output, with `ANY` in place of its expressions."""
    if output.key_template is None:
        return output.key
    pieces = output.key_template.pieces
    return "".join(one if isinstance(one, str) else ANY for one in pieces)


def _is_plain(text: object) -> bool:
    return OPENING not in str(text)


def _expressions(step: Step) -> Iterator[ContextRead]:
    own = [(one, is_late, None) for one, is_late in all_expressions(step)]
    reads = [
        (
            ContextRead(
                ".".join(path), one.place, f"reads ctx.{'.'.join(path)}", is_late, True, use
            ),
            chain,
        )
        for one, is_late, use in (
            *own,
            *((one, False, use) for one, use in expressions_of_uses(step)),
        )
        for chain in one.reads
        if chain.root == "ctx" and (path := _path(chain.parts)) and path[0] not in _METHODS
    ]
    optional = {want.key for want, chain in reads if chain.is_optional}
    yield from (want for want, _ in reads if want.key not in optional)


def _path(parts: tuple[str | int | None, ...]) -> list[str]:
    """Return the parts of a Context path up to the first computed key or list index."""
    path: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            break
        path.append(part)
    return path


def _step_code(step: Step, sources: Sources, fixtures: Collection[str]) -> tuple[Flow, Place, str]:
    """Return the flow of the step code, its place in the recipe, and its file, empty if unknown."""
    if isinstance(step, PythonStep):
        name = step.class_ or step.function or ""
        place = step.at.get("class") or step.at.get("function") or step.at[""]
        module = sources.module(step.module)
        if module is None and not sources.changes_sys_path:
            return _flow_of_similar(step.module, name, sources, fixtures), place, ""
        if module is None or module.path is None:
            return UNKNOWN, place, ""
        if not (name in module.names or module.is_open):
            near = similar(name, module.names)
            return flow_of(module, near, fixtures) if near else Flow(), place, ""
        return flow_of(module, name, fixtures), place, sources.display_path(module.path)
    if isinstance(step, ShellStep) and not isinstance(step, SshStep):
        return _script(step, sources)
    return UNKNOWN, step.at[""], ""


def _flow_of_similar(name: str, member: str, sources: Sources, fixtures: Collection[str]) -> Flow:
    """Return the flow of `member` in the module whose name is most similar to a missing one.

    The author of the step probably means that module. If no module is similar, the step cannot run.
    Its flow is then empty, so that `validate` finds the other problems of the recipe at once.
    """
    near = similar_module(name, sources.root)
    module = sources.module(near) if near else None
    return flow_of(module, member, fixtures) if module else Flow()


def mentions(step: Step, key: str, sources: Sources) -> bool:
    """Return True if the source text of the step code contains a Context key literally."""
    if isinstance(step, PythonStep):
        module = sources.module(step.module)
        path = module.path if module is not None else None
        return path is not None and key in (sources.text(str(path)) or "")
    if isinstance(step, ShellStep):
        line, files = _texts(step, sources)
        return any(key in text for text in (line, *files.values()))
    return False


def _texts(step: ShellStep, sources: Sources) -> tuple[str, dict[str, str]]:
    """Return the command line of a step, and the contents of the files that it names, by path."""
    line = step.cmd if isinstance(step.cmd, str) else " ".join(step.cmd)
    words = [word.strip("\"'") for word in line.split()]
    return line, {word: text for word in words if "/" in word and (text := sources.text(word))}


def _script(step: ShellStep, sources: Sources) -> tuple[Flow, Place, str]:
    line, files = _texts(step, sources)
    texts = [line, *files.values()]
    writes, is_open = set(), False
    for text in texts:
        matches = _WRITES.findall(text)
        named = {(key.strip("\"'"), how) for how, key in matches}
        writes |= {(key, how) for key, how in named if _KEY.fullmatch(key)}
        is_open |= any(not _KEY.fullmatch(key) for key, _ in named)
        is_open |= not matches and bool(_SPEAKS.search(text))
    first = next((word.strip("\"'") for word in line.split()), "")
    first = first if first in files else ""
    return Flow(writes=frozenset(writes), is_open=is_open), step.at["cmd"], first


PARAMS = "params"
_TRANSPARENT = frozenset({"track_resources", "staticmethod", "classmethod", "override", "final"})
"""Decorators that do not change a signature."""
_BASES = frozenset({"BaseScriptlet", "object", "ABC"})
_SCOPES = frozenset({"locals", "vars", "eval", "exec"})


class Mismatch(NamedTuple):
    """A key of `params` that is missing, unknown or never read.

    Attributes:
        is_sure: True if the mismatch makes the step fail.
        place: The place in the recipe that a message marks.
        head: The message.
        hint: The proposed correction; may be empty.
    """

    is_sure: bool
    place: Place
    head: str
    hint: str = ""


class AcceptedKeys(NamedTuple):
    """The keys of `params` that a function accepts.

    Attributes:
        names: Names of parameters that receive the key of the same name.
        required: The names of these parameters that have no default.
        takes_all: True if one parameter receives the whole mapping.
        has_rest: True if the function has a parameter such as `**kwargs`.
        reserved: Names of parameters that receive no key, but what the plugin gives.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_all: bool
    has_rest: bool
    reserved: tuple[str, ...]


def accepted_keys(
    node: Function, *, is_method: bool = False, fixtures: Collection[str] = ()
) -> AcceptedKeys:
    """Return the keys of `params` that the signature of a function accepts.

    Args:
        node: The function.
        is_method: True for a method: its first parameter is the object, unless it is static.
        fixtures: Names of parameters that receive a fixture.
    """
    by_place = len(node.args.posonlyargs) + len(node.args.args)
    bound = min(by_place, is_method and "staticmethod" not in _decorators(node))
    defaults = {one.arg: default for one, default in arguments(node)[bound:]}
    own = [name for name in defaults if name not in RESERVED and name not in fixtures]
    required = {name for name, default in defaults.items() if default is None}
    return AcceptedKeys(
        names=tuple(own),
        required=tuple(name for name in own if name in required),
        takes_all=PARAMS in defaults or bool(node.args.vararg and by_place == bound),
        has_rest=node.args.kwarg is not None,
        reserved=tuple(name for name in defaults if name in RESERVED - {*fixtures}),
    )


def _decorators(node: Function | ast.ClassDef) -> set[str]:
    """Return the names of the decorators of a function or class, without module names."""
    found = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return {ast.unparse(one).rpartition(".")[2] for one in found}


def mismatches(step: PythonStep, module: Module, fixtures: Collection[str]) -> Iterator[Mismatch]:
    """Yield the keys of `params` that are certainly missing, unknown or never read.

    Args:
        step: The step.
        module: Its module.
        fixtures: The fixtures of the step and of its recipe.
    """
    name = step.class_ or step.function or ""
    node = module.names.get(name)
    is_expression = any(one.path[0] == PARAMS and len(one.path) == 1 for one in step.templates)
    if is_expression or module.tree is None or node not in module.tree.body:
        return
    if step.class_ and isinstance(node, ast.ClassDef):
        methods = _methods(node, module)
        if methods is not None:
            called = [one for one in ("validate", "run") if one in methods]
            for one in called:
                own = [each.arg for each, _ in arguments(methods[one])]
                if own[:1] and own[0] in RESERVED and not methods[one].decorator_list:
                    head = f"'{one}' of class '{name}' has no parameter 'self'"
                    cure = f"write `def {one}(self, {', '.join(own)})`"
                    yield Mismatch(True, step.at["class"], head, cure)
                    return
            functions: dict[str, Function] = {one: methods[one] for one in called}
            yield from _Check(step, module, functions, methods, fixtures, f"class '{name}'").all()
    elif isinstance(node, Function) and not step.class_:
        yield from _Check(step, module, {"": node}, {}, fixtures, f"function '{name}'").all()


def _methods(node: ast.ClassDef, module: Module) -> dict[str, Function] | None:
    """Return the methods of a class by name; None if the module may not show all of them."""
    found: dict[str, Function] = {}
    if node.decorator_list or node.keywords:
        return None
    for base in reversed(node.bases):
        name = ast.unparse(base).rpartition(".")[2]
        parent = module.names.get(name)
        if isinstance(parent, ast.ClassDef) and parent is not node:
            inherited = _methods(parent, module)
            if inherited is None:
                return None
            found |= inherited
        elif name not in _BASES:
            return None
    return found | {one.name: one for one in node.body if isinstance(one, Function)}


class _Check:
    """Check of `params` against one class or function."""

    def __init__(
        self,
        step: PythonStep,
        module: Module,
        functions: Mapping[str, Function],
        methods: Mapping[str, Function],
        fixtures: Collection[str],
        target: str,
    ) -> None:
        self._step = step
        self._module = module
        self._functions = functions
        self._target = target
        self._methods = methods
        self._accepted = {
            name: accepted_keys(node, is_method=bool(methods), fixtures=fixtures)
            for name, node in functions.items()
        }

    def all(self) -> Iterator[Mismatch]:
        """Yield the certain mismatches between `params` and the class or function."""
        if not self._accepted or any(
            _decorators(one) - _TRANSPARENT for one in self._functions.values()
        ):
            return
        keys = self._step.params
        missing = {
            name: "needs"
            for accepted in self._accepted.values()
            for name in accepted.required
            if name not in keys
        }
        unknown = [*self._unknown()]
        free = [one for each in self._accepted.values() for one in each.names if one not in keys]
        hints = {key: nearest(key, free) for key in unknown}
        for key in self._given():
            unknown = [one for one in unknown if one != key]
            hints.pop(key, None)
            head = f"params has '{key}', which the plugin itself gives to {self._target}"
            yield Mismatch(True, self._step.at[f"params.{key}"], head, "choose another key")
        for key, hint in hints.items():
            head = f"params has '{key}', which {self._target} does not take"
            yield Mismatch(True, self._step.at[f"params.{key}"], head, hint)
        if not unknown:
            yield from self._unread()
            missing |= {key: "reads" for key in self._always_read() if key not in keys}
        at = self._step.at
        called = at.get("class") or at.get("function") or at[""]
        for name, verb in missing.items():
            if f" (did you mean '{name}'?)" not in hints.values():
                head = f"params has no '{name}', which {self._target} {verb}"
                near = nearest(name, [key for key in keys if key not in hints])
                yield Mismatch(True, at.get(PARAMS, called), head, near if verb == "reads" else "")

    def _given(self) -> list[str]:
        """Return the keys of `params` whose parameters receive something else from the plugin."""
        given = {name for each in self._accepted.values() for name in each.reserved}
        takes_all = any(each.takes_all for each in self._accepted.values())
        return [key for key in self._step.params if key in given and not takes_all]

    def _unknown(self) -> Iterator[str]:
        """Yield the keys of `params` that the class or function does not accept."""
        names = {name for accepted in self._accepted.values() for name in accepted.names}
        strict = [each for each in self._accepted.values() if each.names and not each.takes_all]
        last = list(self._accepted.values())[-1]
        is_open = last.takes_all or last.has_rest or any(each.has_rest for each in strict)
        if strict and not is_open:
            yield from (key for key in self._step.params if key not in names)

    def _unread(self) -> Iterator[Mismatch]:
        """Yield a warning for each key of `params` that is accepted but never read."""
        reads = _Reads(self._module)
        methods = {
            name: one for name, one in self._methods.items() if not _decorators(one) - _TRANSPARENT
        }
        for name, node in self._functions.items():
            accepted = self._accepted[name]
            if accepted.has_rest or node.args.vararg:
                return
            if accepted.takes_all:
                reads.follow(node, PARAMS, methods)
        if reads.is_open:
            return
        known = {*reads.keys, *(name for each in self._accepted.values() for name in each.names)}
        for key in self._step.params:
            if key not in known:
                head = f"{self._target} does not read '{key}' of params"
                yield Mismatch(False, self._step.at[f"params.{key}"], head, nearest(key, known))

    def _always_read(self) -> Iterator[str]:
        """Yield the keys of `params` that the code looks up in every run."""
        for name, node in self._functions.items():
            if self._accepted[name].takes_all and not node.args.vararg:
                yield from _first_lookups(node, self._module)


class _Reads(Recorder):
    """Recorder of the keys that are looked up in the mapping `params`."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.keys: dict[str, None] = {}

    def follow(self, node: Function, name: str | None, methods: Mapping[str, Function]) -> None:
        """Analyse a function; one that lists its own variables cannot be analysed."""
        names = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
        self.is_open |= not _SCOPES.isdisjoint(names)
        super().follow(node, name, methods)

    def function(self, name: str) -> Function | None:
        """Return a function of the module by its name, unless a decorator may replace it."""
        node = super().function(name)
        return node if node and not _decorators(node) - _TRANSPARENT else None

    def read(self, key: str | None, line: int) -> None:  # noqa: ARG002
        """Record a key that is looked up."""
        if key is None or ANY in key:
            self.record_escape()
        else:
            self.keys[key] = None

    def read_optional(self, key: str | None) -> None:
        """Record a key that is looked up."""
        self.read(key, 0)

    def called(self, method: str, key: str | None, node: ast.Call, *, is_tested: bool) -> None:  # noqa: ARG002
        """Record the key of `params.get("x")`."""
        self.read(key if method in ("get", "pop", "setdefault") else None, node.lineno)


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _first_lookups(node: Function, module: Module) -> Iterator[str]:
    """Yield the keys that a function looks up before it can end, branch or call unknown code."""
    for each in node.body:
        expression = _evaluated(each)
        if expression is None:
            return
        found, is_plain = _looked_up(expression, module)
        yield from found
        if not is_plain or not isinstance(each, ast.Assign | ast.AnnAssign | ast.Expr):
            return


def _evaluated(node: ast.stmt) -> ast.expr | None:
    """Return the expression that a statement evaluates first; None for an unsupported statement."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
        return node.value or ast.Constant(None)
    return node.test if isinstance(node, ast.If | ast.Assert | ast.While) else None


def _looked_up(node: ast.expr, module: Module) -> tuple[list[str], bool]:
    """Return the keys that an expression always looks up, and True if no part of it is unknown.

    Args:
        node: The expression.
        module: The module of the expression, which may redefine built-in functions.
    """
    if isinstance(node, ast.Constant | ast.Name):
        return [], True
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        key = _text(node.slice) if node.value.id == PARAMS else None
        return ([key], True) if key is not None else ([], False)
    if isinstance(node, ast.Call):
        callee = node.func
        is_known = isinstance(callee, ast.Name) and callee.id not in module.names
        if not (is_known and callee.id in dir(builtins)):  # type: ignore[attr-defined]
            return [], False
        return _looked_up_in_all([*node.args, *(each.value for each in node.keywords)], module)
    if isinstance(node, ast.BinOp):
        return _looked_up_in_all([node.left, node.right], module)
    if isinstance(node, ast.UnaryOp):
        return _looked_up(node.operand, module)
    if isinstance(node, ast.Compare):
        return _looked_up_in_all([node.left, node.comparators[0]], module)
    return [], False


def _looked_up_in_all(nodes: list[ast.expr], module: Module) -> tuple[list[str], bool]:
    found: list[str] = []
    for node in nodes:
        keys, is_plain = _looked_up(node, module)
        found += keys
        if not is_plain:
            return found, False
    return found, True

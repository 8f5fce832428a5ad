"""Context keys that one step reads and writes, from its recipe, scriptlet and script."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import similar, similar_module
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.python_source import ANY, UNKNOWN, Flow, flow_of
from pytest_orchestrator.recipe.analysis.source_files import Sources
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

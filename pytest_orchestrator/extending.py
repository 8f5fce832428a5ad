"""Base classes for authors of pytest plugins: step types and success criteria.

Nothing here is part of the engine: functions of plugins receive and return plain values.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from msgspec import Struct, convert, field

from pytest_orchestrator.context.context import ContextLike
from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.events import ExchangeOperation, InstrumentExchange
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.questions import Answer, NoAnswer, Question
from pytest_orchestrator.core.typed_fields import InputField, field_problems

if TYPE_CHECKING:
    from pytest_orchestrator.instrument import Instrument, InstrumentError

__all__ = [
    "FEATURES",
    "VERSION",
    "Answer",
    "Criterion",
    "Evidence",
    "HookWarning",
    "InputField",
    "Instrument",
    "InstrumentError",
    "KeyProblem",
    "NoAnswer",
    "Place",
    "Project",
    "Question",
    "StepEnvironment",
    "StepFailure",
    "StepSpec",
    "StepType",
    "Unevaluated",
    "WrittenStep",
    "field_problems",
    "parse_json",
]

VERSION = 1
"""Version of this interface; it rises only when plugin authors must change their code."""

FEATURES: Final = frozenset(
    {
        "ask",
        "background",
        "check",
        "cleanup",
        "criteria",
        "exchanges",
        "failure",
        "failure-place",
        "imports",
        "instruments",
        "locks",
        "log",
        "mask",
        "parse_json",
        "replays",
        "report_info",
        "run_finish",
        "secrets",
    }
)
"""Names of the parts that were added to this interface since version 1 first appeared.

A plugin that cannot work without one of them compares: ``"cleanup" in extending.FEATURES``. An
older release, which lacks the part, does not call it; before the first parts it has no `FEATURES`.
"""


def __getattr__(name: str) -> Any:
    """Import the handle of instruments, which few projects use, at its first use."""
    if name not in ("Instrument", "InstrumentError"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_orchestrator import instrument

    return getattr(instrument, name)


KeyPath = tuple[str | int, ...]
"""Position of a value in a step: keys and, in lists, indexes from 0, as ``("headers", "Accept")``.
"""


class Unevaluated(Struct, frozen=True):
    """Value in a step that contains an expression and is not evaluated yet.

    Attributes:
        text: The text as it stands in the recipe, such as ``http://${{ vars.host }}/state``.
    """

    text: str


class Project(Struct, frozen=True, kw_only=True):
    """Project of a recipe.

    Attributes:
        root: The rootdir of pytest, the base of relative paths.
        extras: The extras of this package that the recipe ``requires``. Its steps are skipped
            where one of them is missing, so a missing library is then no mistake.
    """

    root: Path
    extras: tuple[str, ...] = ()


class StepSpec(Struct, frozen=True, kw_only=True):
    """Name and keys of one step, for the hooks of its type.

    Attributes:
        step: The name of the step; empty if the recipe gives it none.
        recipe: The path of its recipe.
        keys: The keys that the type adds to steps, as JSON values by name. A missing key has
            its default from `StepType.Keys`; a missing key without a default is left out.
    """

    step: str
    recipe: str
    keys: Mapping[str, Any]


class WrittenStep(StepSpec, frozen=True, kw_only=True):
    """Step as its recipe is read, before any expression has a value.

    In `keys` and `common`, each value with an expression is an `Unevaluated`.

    Attributes:
        common: The keys that steps of all types have, such as ``timeout`` and ``success``, as the
            recipe or its ``defaults`` give them.
        places: Line and column of each value, by its key path; the step itself has the path
            ``()``. Keys that the recipe does not have are missing.
    """

    common: Mapping[str, Any]
    places: Mapping[KeyPath, Place]


class KeyProblem(Struct, frozen=True):
    """One mistake in a step, which makes its recipe invalid.

    Attributes:
        path: The key path of the wrong value, or its key; ``()`` for the step as a whole. The
            problem is reported at that value, or at the innermost value around it that the recipe
            has.
        message: The rest of the sentence that begins with the key, such as ``names no file``. The
            sentence is then ``'image' in prompt step 'look' names no file``.
        hint: The cure, which is shown in brackets; may be empty.
    """

    path: KeyPath | str
    message: str
    hint: str = ""


class StepEnvironment(Struct, frozen=True, kw_only=True):
    """Environment of one step.

    Attributes:
        step: The name of the step.
        recipe: The path of its recipe.
        root: The rootdir; the current folder, and the base of relative paths.
        timeout: Seconds after which the step is ended; None if the step has no timeout.
        logs: An existing folder for further logs; None if no logs are kept.
        attempt: Number of the attempt, from 1.
        fixtures: Values of the fixtures that the step names, by name.
        log: The log of the attempt. Its records, of all levels, are written to the file
            ``<step>.<attempt>.log`` of the run folder, without secrets, and pytest shows them
            with a failure as it shows all log records of a step.
        add_secret: The function that `mask` calls.
        asker: The function that `ask` calls. A test of a step type can set its own; None if
            questions cannot be asked.
        opener: The function that `instrument` calls. A test of a step type can set its own; None
            if the step cannot use instruments.
        add_exchange: The function that `record_exchange` calls. A test of a step type can set its
            own.
        recorded: The exchanges of this step in the run that is replayed, for a type with `replays`;
            the last has the `gap` ``cut`` if later ones were not kept. None to use the device.
    """

    step: str
    recipe: str
    root: Path
    timeout: float | None = None
    logs: Path | None = None
    attempt: int = 1
    fixtures: Mapping[str, object] = {}
    log: logging.Logger = field(
        default_factory=lambda: logging.getLogger("pytest_orchestrator.step")
    )
    add_secret: Callable[[Any], None] = lambda _: None
    asker: Callable[[Question], Answer] | None = None
    opener: "Callable[[str], Instrument] | None" = None
    add_exchange: Callable[[InstrumentExchange], None] = lambda _: None
    recorded: Sequence[InstrumentExchange] | None = None

    def mask(self, value: Any) -> None:
        """Mask a secret value that became known in this step, in all outputs from now on.

        Args:
            value: A text or a number, or a list or mapping of them.
        """
        self.add_secret(value)

    def ask(self, question: Question) -> Answer:
        """Ask a person, and wait for the answer; the pytest session asks, not this process.

        The wait does not count for the criterion `max_seconds`.

        Args:
            question: The question.

        Returns:
            The answer, with a value of the right type for each field. The values of secret fields
            are masked in every output.

        Raises:
            NoAnswer: A person cannot be asked, and the answer was not given before the run.
        """
        if self.asker is None:
            raise NoAnswer(f"step '{self.step}' cannot ask: its type does not set `asks = True`")
        return self.asker(question)

    def instrument(self, name: str) -> "Instrument":
        """Return the handle of an instrument of the station; its first command opens it.

        The pytest session holds the lock of the instrument, sends its ``init`` commands, and owns
        the connection, which all steps of a recipe share.

        Args:
            name: The name of the instrument in the station file.

        Raises:
            InstrumentError: The step cannot use instruments.
        """
        if self.opener is None:
            from pytest_orchestrator.instrument import InstrumentError

            reason = f"{name}: step '{self.step}' cannot use instruments here"
            raise InstrumentError(reason, instrument=name, kind="refused")
        return self.opener(name)

    def record_exchange(
        self,
        device: str,
        do: ExchangeOperation,
        command: str = "",
        *,
        answer: str | None = None,
        error: str = "",
        kind: str = "",
    ) -> None:
        """Record in the journal an exchange with a device whose connection this step itself holds.

        Call it after the end of each exchange. The exchanges of `instrument` are recorded anyway.

        Args:
            device: The name of the device, such as its port.
            do: ``write``, ``read``, ``query`` (a command that is sent and answered) or ``open``.
            command: The text that was sent or, for ``read``, expected.
            answer: The text that was received; None without one.
            error: The error in one sentence; empty without one.
            kind: The kind of the error, such as ``timeout``.

        Raises:
            msgspec.ValidationError: An argument has a wrong type.
        """
        fields = {"do": do, "command": command, "answer": answer, "error": error, "kind": kind}
        known = {"recipe": self.recipe, "instrument": device, "order": 0}  # the session knows it
        self.add_exchange(convert({**fields, **known}, InstrumentExchange))


class StepFailure(Exception):
    """Failure of a step that `StepType.run` raises; it is reported without a traceback.

    Args:
        reason: One line that says why.
        kind: The kind of the failure in reports: ``status`` for a device or server that refuses,
            ``protocol`` for an answer that cannot be understood, ``not_found``, or
            ``validation`` for a wrong value of a key.
        path: The key path of the value that the failure is about, or its key, as in `KeyProblem`.
            The failure is reported at that value, or at the innermost value around it that the
            recipe has; ``()`` means the step as a whole.
    """

    def __init__(
        self,
        reason: str,
        kind: Literal["status", "protocol", "not_found", "validation"] = "status",
        path: KeyPath | str = (),
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.path: KeyPath = (path,) if isinstance(path, str) else tuple(path)


class StepType(ABC):
    """Base class of a step type; the first line of a subclass's docstring describes the type.

    Only `run` is required. The hooks `check`, `secrets`, `locks`, `instruments`, `questions` and
    `cleanup` are class methods; an ordinary method of such a name is not called by the engine. If
    a hook raises an exception, the error names the plugin.

    Attributes:
        name: The value of `type` in recipes.
        Keys: The keys that its steps have in addition to those of all steps: a Struct with fields
            such as ``Annotated[str, msgspec.Meta(description=..., examples=[...])]``. Other
            constraints of `Meta` (``ge``, ``pattern``) are checked, and fields without a default
            are required. ``extra={"expected": "an address"}`` beside a ``pattern`` gives the
            words of its error.
        criteria: Success criteria that only steps of this type can have. They are checked
            before ``outputs`` are written and before all other criteria.
        imports: Names of modules that `run` imports. The process in which the steps of a session
            are started imports them once, instead of each step.
        asks: True if its steps ask a person by `StepEnvironment.ask`. Such a step runs on the
            machine of the session, has no timeout unless the recipe names one, and is asked again
            by a run that resumes an interrupted one.
        replays: True if its steps use no device where `StepEnvironment.recorded` is not None, but
            what is recorded there; they hold no locks of `locks` then.
        background: False if its steps always end by themselves, as a request does. The key
            ``background: true`` is then an error of the recipe, because such a step is no service.
    """

    name: ClassVar[str]
    Keys: ClassVar[type[Struct]]
    criteria: ClassVar[Sequence["Criterion"]] = ()
    imports: ClassVar[Sequence[str]] = ()
    asks: ClassVar[bool] = False
    replays: ClassVar[bool] = False
    background: ClassVar[bool] = True

    @abstractmethod
    def run(self, keys: Any, ctx: ContextLike, env: StepEnvironment) -> Mapping[str, Any]:
        """Run one step, in a process of its own unless it says `isolation: inline`.

        Args:
            keys: The keys of the step as an instance of `Keys`; expressions are replaced by
                their values.
            ctx: The Context; writes to it count as writes of the step.
            env: The environment of the step.

        Returns:
            A mapping with a `status`, as every Python step returns it: ``ok`` or ``success``,
            or ``skip`` with a `reason`. Any other value and any exception is a failure.
        """

    @classmethod
    def check(cls, step: WrittenStep, project: Project) -> Iterable[KeyProblem]:  # noqa: ARG003
        """Check a step when its recipe is read, after all its keys were found to be valid.

        It is called in pytest's process, in each process that reads the recipe, and by
        ``pytest-orchestrator validate``. So it must not change anything, or open a device.

        Args:
            step: The step as it is written.
            project: The project.

        Returns:
            The mistakes; each is reported as an error of the recipe, with its line.
        """
        return ()

    @classmethod
    def secrets(cls, step: StepSpec) -> Iterable[Any]:  # noqa: ARG003
        """Return the secret values of a step, which all outputs of the session then mask.

        It is called in pytest's process, once when the recipe is read and again before each
        attempt. At the first call a value with an expression is an `Unevaluated`.

        Args:
            step: The step.

        Returns:
            Texts and numbers, or lists and mappings of them. An `Unevaluated` is ignored.
        """
        return ()

    @classmethod
    def locks(cls, step: StepSpec) -> Iterable[str]:  # noqa: ARG003
        """Return the names of locks that a step needs in addition to its key ``locks``.

        It is called in pytest's process before each attempt, when all keys have their values. For
        a recipe that has locks of its own, it is also called before the first step, if the keys
        have values by then.

        Args:
            step: The step.

        Returns:
            The names, of the same form as in ``locks``.
        """
        return ()

    @classmethod
    def instruments(cls, step: StepSpec) -> Iterable[str | Unevaluated]:  # noqa: ARG003
        """Return the names of the instruments that a step uses by `StepEnvironment.instrument`.

        It is called in pytest's process when the recipe is read, when a value with an expression
        is an `Unevaluated`, and before each attempt. A name that the station file does not have
        is an error of the recipe.

        Args:
            step: The step.

        Returns:
            The names. An `Unevaluated` is ignored.
        """
        return ()

    @classmethod
    def questions(cls, step: StepSpec) -> Iterable[Question]:  # noqa: ARG003
        """Return the questions that a step will ask, as far as its keys show.

        It is called in pytest's process before the run, to check the answers that are given
        beforehand.

        Args:
            step: The step. A value with an expression is an `Unevaluated`.

        Returns:
            The questions. If there are none, any answer to the step is accepted until it asks.
        """
        return ()

    @classmethod
    def cleanup(cls, step: StepSpec) -> None:
        """Clean up after an attempt of a step, however the attempt ended.

        It is called after each attempt whose step code was started: after a success, a skip, a
        failure, a timeout, Ctrl-C, and after its process was killed or has crashed. By then the
        process tree of the attempt has ended; the locks of the step are still held, and neither
        criteria nor ``outputs`` were evaluated. For a service it is called when the service has
        ended. It is not called if pytest itself is killed.

        It runs on the machine of the attempt: in a process of its own, or in pytest's process if
        the step ran there (``isolation: inline``, fixtures). The current folder is the rootdir. It
        is ended after 10 seconds. Its output is in ``<step>.cleanup.<attempt>.stdout`` and so on.

        Args:
            step: The step; all its keys have their values.

        Raises:
            Exception: Any exception makes a step fail that had passed or was skipped. If the step
                has failed already, the exception is added to the details of that failure.
        """
        del step


class Evidence(Struct, frozen=True, kw_only=True):
    """Results of one step, for a criterion.

    Attributes:
        step: The name of the step.
        root: The rootdir.
        result: The object that the step returned or printed.
        ctx: The Context after the step.
        seconds: Duration of the step code.
        stdout: Text that the step printed; head and tail if it is long; empty for an inline
            step.
        stderr: Text that the step printed to stderr, shortened as `stdout` is.
        exit_code: Exit code of its process; None if it had no process or was ended by a signal.
    """

    step: str
    root: Path
    result: Any
    ctx: ContextLike
    seconds: float
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None


class Criterion(Struct, frozen=True, kw_only=True):
    """A success criterion of a plugin: a further key that `success` of a step can have.

    Attributes:
        name: Its key in `success`.
        type: The type of its value, as msgspec knows it: ``float``, ``list[str]``, a Struct.
        description: A sentence for the reference.
        example: A value of that type.
        check: Function that is called with the value of the key and the evidence. It returns
            None if the criterion holds, else one line that says what is wrong.
        default: For a criterion of a step type: the value that is checked in steps that do not
            name the criterion. None means that it is not checked in them.
    """

    name: str
    type: Any
    description: str
    example: Any
    check: Callable[[Any, Evidence], str | None]
    default: Any = None


class HookWarning(UserWarning):
    """A hook of a plugin raised an exception; the session continues."""


def parse_json(text: bytes | str) -> Any:
    """Parse JSON of which a step returns numbers.

    Limits are compared with each decimal as the text has it, also if it has more digits than a
    float keeps: such a decimal is of a subclass of `float`.

    Args:
        text: The JSON.

    Raises:
        msgspec.DecodeError: It is no JSON.
    """
    return json_values.decode_exactly(text)

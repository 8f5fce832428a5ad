"""Questions of steps to a person, and their answers."""

from typing import Any, Literal

from msgspec import Struct

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.typed_fields import InputField

BUTTON = "button"
"""Name by which an answer given beforehand names the button; no field has this name."""

CONTINUE = "continue"

SERIAL = ("serial_number", "serial", "sn", "id")
"""Keys of a mapping ``dut`` in `test_meta` with the serial number, in order of precedence."""

Where = Literal["terminal", "answers", "page"]
"""Place of an answer: the terminal, the answers given beforehand, or the operator page."""


class Question(Struct, frozen=True, kw_only=True):
    """Question to a person.

    Attributes:
        message: The text of the question, in Markdown.
        image: Path of a picture, relative to the rootdir; None if there is none.
        fields: The values that are asked for, by name.
        buttons: The buttons, of which a person chooses one. A single button needs no choice if
            the question has fields.
        dut: Keys of the unit under test that the values of fields become, by the name of the field.
    """

    message: str
    image: str | None = None
    fields: dict[str, InputField] = {}
    buttons: tuple[str, ...] = (CONTINUE,)
    dut: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, and ``button`` if a button must be chosen."""
        return (*self.fields, *([BUTTON] if self.needs_button else []))

    @property
    def answerable(self) -> tuple[str, ...]:
        """Names that an answer given beforehand may have: a single button can be named too."""
        return (*self.fields, BUTTON)

    @property
    def needed(self) -> tuple[str, ...]:
        """The names of which an answer must exist: fields that need a value, and the button."""
        return tuple(name for name in self.names if name == BUTTON or self.fields[name].is_required)

    @property
    def needs_button(self) -> bool:
        """True if a person must choose or press a button."""
        return len(self.buttons) > 1 or not self.fields


class Answer(Struct, frozen=True, kw_only=True):
    """Answer to a question.

    Attributes:
        values: The value of each field, by name, in the order of the question.
        button: The button that was chosen.
        who: The name of the user of the operating system, or the name that the operator page
            asked for.
        where: ``terminal``, ``answers`` if the answer was given before the run, or ``page``.
        when: Time of the answer in ISO 8601 UTC.
        dut: The keys of the unit under test that the answer gave, with their values.
    """

    values: dict[str, Any] = {}
    button: str = CONTINUE
    who: str = ""
    where: Where = "answers"
    when: str = ""
    dut: dict[str, str] = {}


class Asked(Struct, frozen=True, kw_only=True):
    """Question with the step that asks it.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        node: Node id of the step.
        cell: The cell of the recipe's matrix; empty without one.
        dut: The device under test; empty if the recipe names none.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0; None for a step without it.
        question: The question, with the fields that are still to be answered.
        wanted: Names of the answers that are still missing.
    """

    recipe: str
    step: str
    node: str
    cell: str = ""
    dut: str = ""
    attempt: int = 1
    element: int | None = None
    question: Question
    wanted: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """One line that says which step asks, and for which DUT."""
        path = self.recipe.removesuffix(f"[{self.cell}]") if self.cell else self.recipe
        parts = [path, f"DUT {self.dut}" if self.dut else ""]
        parts += [f"cell {self.cell}" if self.cell else ""]
        parts += [] if self.element is None else [f"element {self.element}"]
        parts += [f"attempt {self.attempt}" if self.attempt > 1 else ""]
        return f"orchestrator: {self.step} asks ({', '.join(filter(None, parts))})"


class NoAnswer(OrchestratorError):
    """Error: a question has no answer; the text says why, and names the missing answers."""

    slug = "no-answer"
    __module__ = "pytest_orchestrator.extending"

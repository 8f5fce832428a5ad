"""Questions of steps to a person, and their answers."""

from typing import Any, Literal

from msgspec import Struct

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.typed_fields import InputField

BUTTON = "button"
"""Name by which an answer given beforehand names the button; no field has this name."""

CONTINUE = "continue"

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
    """

    message: str
    image: str | None = None
    fields: dict[str, InputField] = {}
    buttons: tuple[str, ...] = (CONTINUE,)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, and ``button`` if a button must be chosen."""
        return (*self.fields, *([BUTTON] if self.needs_button else []))

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
    """

    values: dict[str, Any] = {}
    button: str = CONTINUE
    who: str = ""
    where: Where = "answers"
    when: str = ""


class NoAnswer(OrchestratorError):
    """Error: a question has no answer; the text says why, and names the missing answers."""

    slug = "no-answer"
    __module__ = "pytest_orchestrator.extending"

"""Answers given before the run: by options, files and environment variables.

An answer names its step by a target: ``step``, ``step[cell]``, either of them with the index of an
element of ``foreach`` as in ``step[2]``, or one of these after ``recipe.yaml::``. A target that
says more wins over one that says less. Of equal targets an option wins over a file, a file over
the environment, and the later over the earlier one.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_orchestrator.core.questions import BUTTON, Question
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.core.typed_fields import InputField, value_of_json, value_of_text

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

OPTION, FILE_OPTION = "--recipe-answer", "--recipe-answers"
PREFIX = "ORCHESTRATOR_ANSWER_"
"""Beginning of the names of environment variables with answers; step and field follow."""

# A cell may contain any character, also those that separate the parts outside of brackets.
_OPTION = lazy_pattern(
    r"(?P<target>(?:[^=\[]|\[[^\]]*\])+)\.(?P<field>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)",
    re.DOTALL,
)

_ELEMENT = lazy_pattern(r"(.+)\[[0-9]+\]")


class GivenAnswer(NamedTuple):
    """Answer to one field that was given before the run.

    Attributes:
        target: The step, as the user names it.
        field: Name of the field, or ``button``.
        value: The text, or the JSON value of a file.
        origin: Its source for messages: the option, the path of the file, or the variable.
        is_text: True if the value is text that is to be converted to the type of the field.
    """

    target: str
    field: str
    value: "Json"
    origin: str
    is_text: bool = True

    @property
    def name(self) -> str:
        """Target and field, as the option takes them."""
        return f"{self.target}.{self.field}"

    def value_for(self, question: Question) -> "Json":
        """Return the value for a question.

        Raises:
            ValueError: The value violates a rule of the field; the message is a sentence.
        """
        if self.field == BUTTON:
            if self.value not in question.buttons:
                raise ValueError(f"'{self.name}' should be {' or '.join(question.buttons)}")
            return self.value
        field = question.fields[self.field]
        try:
            if self.is_text:
                return value_of_text(field, str(self.value))
            return value_of_json(field, self.value)
        except ValueError as error:
            raise ValueError(f"'{self.name}' {error}") from None


def option_answer(text: str) -> GivenAnswer:
    """Return the answer in the text of the option.

    Raises:
        ValueError: The text has another form; the message says so.
    """
    match = _OPTION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no [recipe.yaml::]STEP.FIELD=VALUE")
    return GivenAnswer(match["target"], match["field"], match["value"], OPTION)


def file_answers(path: Path, name: str) -> Iterator[GivenAnswer]:
    """Yield the answers of a YAML or JSON file: a mapping of values for each step.

    Args:
        path: The file.
        name: Its path as the user gave it.

    Raises:
        ValueError: The file does not exist or has another form; the message says so.
    """
    from pytest_orchestrator.recipe import RecipeError
    from pytest_orchestrator.recipe.variables import vars_of

    if not os.path.isfile(path):
        raise ValueError(f"there is no file {name}")
    try:
        steps = vars_of(path)
    except RecipeError as error:
        raise ValueError(str(error)) from None
    for target, values in steps.items():
        if not isinstance(values, dict):
            step, _, field = target.rpartition(".")
            cure = f"{step}: {{{field}: ...}}" if step else f"{target}: {{FIELD: VALUE}}"
            raise ValueError(f"{name}: '{target}' should be a mapping of fields; write {cure}")
        for field, value in values.items():
            yield GivenAnswer(target, field, value, name, is_text=False)


def answers_of(options: Iterable[str], files: Iterable[str], folder: Path) -> list[GivenAnswer]:
    """Return the answers of files and options, the weakest first.

    Args:
        options: The texts of ``--recipe-answer``.
        files: The paths of ``--recipe-answers``.
        folder: The folder to which the paths are relative.

    Raises:
        ValueError: An option has another form, or a file cannot be read.
    """
    answers: list[GivenAnswer] = []
    option = FILE_OPTION
    try:
        for name in files:
            answers += file_answers(folder / name, name)
        option = OPTION
        answers += map(option_answer, options)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    return answers


def options_for(
    recipe: "Recipe", texts: Iterable[str], files: Iterable[str], folder: Path
) -> Iterator[str]:
    """Yield the options that have an answer for a step of a recipe, as they were given.

    None has a secret: an option with one is a usage error, and of a file it is only the path.

    Args:
        recipe: The recipe, with its cell.
        texts: The texts of ``--recipe-answer``.
        files: The paths of ``--recipe-answers``.
        folder: The folder to which the paths are relative.
    """
    steps = (*recipe.steps, *recipe.final)
    names = {name for step in steps for name in targets_of(recipe, step.name)}
    named = ((f"{FILE_OPTION}={one}", (), (one,)) for one in files)
    written = ((f"{OPTION}={one}", (one,), ()) for one in texts)
    for option, text, file in (*named, *written):
        with contextlib.suppress(ValueError):  # the file was changed since the session began
            targets = [one.target for one in answers_of(text, file, folder)]
            if names & {*targets, *(target.rpartition("[")[0] for target in targets)}:
                yield option


class GivenAnswers:
    """All answers that were given before the run.

    Args:
        answers: The answers of files and options, the weakest first.
        environ: The environment variables.
    """

    def __init__(
        self, answers: Sequence[GivenAnswer] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._answers = tuple(answers)
        self._environ = {
            name: value for name, value in (environ or {}).items() if name.startswith(PREFIX)
        }

    def of(
        self, recipe: "Recipe", step: str, question: Question, element: int | None = None
    ) -> dict[str, GivenAnswer]:
        """Return the answers that apply to a question of a step, by field.

        Args:
            recipe: The recipe of the step, with its cell.
            step: Name of the step.
            question: The question; answers to other fields are ignored.
            element: Index of the element of ``foreach``, from 0; None for a step without it.
        """
        targets = targets_of(recipe, step, element)
        found = {}
        for name in sorted(targets, key=targets.__getitem__):
            for field in question.answerable:
                variable = variable_of(name, field)
                if "::" not in name and variable in self._environ:
                    value = self._environ[variable]
                    found[field] = GivenAnswer(name, field, value, f"variable {variable}")
        chosen = [one for one in self._answers if one.target in targets]
        for one in sorted(chosen, key=lambda one: targets[one.target]):
            if one.field in question.answerable:
                found[one.field] = one
        return found

    def unanswered(self, recipe: "Recipe", step: str, question: Question) -> list[str]:
        """Return the names that a question needs, and that no answer given before the run has.

        Args:
            recipe: The recipe of the step, without a cell: an answer for any cell or element
                counts.
            step: Name of the step.
            question: The question.
        """
        targets = targets_of(recipe, step)
        given = {one.field for one in self._answers if one.target.partition("[")[0] in targets}
        given |= self.of(recipe, step, question).keys()
        names = question.needed or (() if given else question.names)
        return [name for name in names if name not in given]

    def errors(
        self, asking: "Iterable[tuple[Recipe, Step, Sequence[Question] | None]]", root: Path
    ) -> Iterator[str]:
        """Yield a sentence for each answer that no step takes, or whose value is wrong.

        Args:
            asking: The collected steps that ask people: the recipe, the step, and its questions;
                None if these are known only when the step runs.
            root: The rootdir.
        """
        steps = [
            (targets_of(recipe, step.name), step, questions) for recipe, step, questions in asking
        ]
        for one in self._answers:
            element = _ELEMENT.fullmatch(one.target)
            matching = [
                (names, step, questions)
                for names, step, questions in steps
                if one.target in names or (element and step.foreach and element[1] in names)
            ]
            if not matching:
                recipe, sign, _ = one.target.partition("::")
                if sign and (root / recipe).is_file() and not _is_collected(recipe, steps):
                    continue  # an answer for a recipe that this run does not collect
                near = nearest(one.target, list({name for names, *_ in steps for name in names}))
                yield f"{one.origin}: no collected step that asks is '{one.target}'{near}"
                continue
            for _, step, questions in matching:
                if questions is not None and (error := _error(one, step.name, questions)):
                    yield f"{one.origin}: {error}"
                    break


def targets_of(recipe: "Recipe", step: str, element: int | None = None) -> dict[str, int]:
    """Return the targets that name a step, each with its strength: the more it says, the more.

    Args:
        recipe: The recipe of the step, with its cell.
        step: Name of the step.
        element: Index of the element of ``foreach``, from 0; None for a step without it.
    """
    names = [step.partition("[")[0], step, recipe.node(step).partition("::")[2]]
    names += [] if element is None else [f"{name}[{element}]" for name in names]
    strengths = {name: strength for strength, name in enumerate(names)}
    with_recipe = {f"{recipe.id}::{name}": len(names) + strengths[name] for name in strengths}
    return strengths | with_recipe


def variable_of(target: str, field: str) -> str:
    """Return the name of the environment variable with the answer to a field of a step."""
    return PREFIX + re.sub(r"[^A-Za-z0-9]", "_", f"{target}_{field}").upper()


def _is_collected(recipe: str, steps: "Iterable[tuple[dict[str, int], Any, Any]]") -> bool:
    return any(name.startswith(f"{recipe}::") for names, *_ in steps for name in names)


def _error(one: GivenAnswer, step: str, questions: Sequence[Question]) -> str:
    """Return the fault of an answer to a step with known questions; empty if it has none."""
    question = next((each for each in questions if one.field in each.answerable), None)
    if question is None:
        names = [name for each in questions for name in each.answerable]
        return f"step '{step}' asks no '{one.field}'{nearest(one.field, names)}"
    field = question.fields.get(one.field, InputField())
    if field.secret and one.origin == OPTION:
        return (
            f"'{one.name}' is secret, and other users see the arguments of a program; give it by "
            f"{FILE_OPTION} or in {variable_of(one.target, one.field)}"
        )
    try:
        one.value_for(question)
    except ValueError as error:
        return str(error)
    return ""

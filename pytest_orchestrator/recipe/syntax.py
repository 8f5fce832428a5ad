"""What a YAML parser says, in the words of a person who edits a recipe."""

import re

import yaml

from pytest_orchestrator.core.location import Place

_CURES = {
    "mapping values are not allowed": "quote a text that holds ': ', and check the indentation",
    "did not find expected key": "check the indentation and the quotes of the lines above",
    "did not find expected '-' indicator": "check the indentation",
    "could not find expected ':'": "write 'key: value', with a space after the colon",
    "found unexpected end of stream": "close the quote",
    "found unknown escape character": "in double quotes a backslash is written twice",
    "did not find expected ',' or ']'": "close the bracket, and quote a text that holds one",
    "did not find expected ',' or '}'": "close the brace, and quote a text that holds one",
    "found incompatible YAML document": "leave the %YAML line out",
}
_QUOTE = "quote the whole text: within quotes braces, commas and colons are its own"


def explained(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str, str]:
    """Say what is wrong with a text that is no YAML.

    Args:
        error: What the parser or composer raised.
        text: The text that it read.

    Returns:
        The place, the sentence, and the cure (empty where there is none).
    """
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem, context = error.problem or "", error.context or ""
    char = _char(text, place)
    if context.startswith("expected a single document"):
        return place, "a second document begins here", "a file holds one recipe"
    if context.startswith("found duplicate anchor") and error.context_mark:
        first = error.context_mark.line + 1
        return place, f"the anchor is given twice, here and in line {first}", ""
    if problem.startswith("found undefined alias"):
        return place, "no anchor of this name stands above", "quote a text that begins with *"
    if (char == "\t" and "token" in problem) or "tab character" in problem:
        return place, "a tab cannot indent YAML", "use spaces"
    if _follows_expression(text, place):
        return place, "an expression ends a text that is not quoted", _QUOTE
    if _follows_quote(text, place):
        return place, "a text goes on behind its closing quote", "quote the whole text"
    if "cannot start any token" in problem:
        return place, f"a text cannot begin with {char!r}", "quote it"
    return place, f"this is no YAML: {_sentence(error)}", _cure(problem)


def _follows_expression(text: str, place: Place) -> bool:
    """Tell whether a brace or a colon of an expression was taken for YAML's own."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    before = line[: place.column - 1]
    return line[place.column - 2 : place.column + 1] == "${{" or (
        "${{" in before and "}}" not in before.rpartition("${{")[2]
    )


def _follows_quote(text: str, place: Place) -> bool:
    """Tell whether a text begins with a quoted word, which YAML takes for all of it."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    before, behind = line[: place.column - 1], line[place.column - 1 :].strip()
    quoted = re.search(r"(?:^|[:,\[{-])\s*(?:'[^']*'|\"[^\"]*\")\s*$", before)
    return bool(quoted and behind) and behind[0] not in "]},:"


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "nothing more is known"
    if not error.context or not error.context_mark:
        return problem
    return f"{problem} {error.context} that begins in line {error.context_mark.line + 1}"


def _cure(problem: str) -> str:
    return next((cure for start, cure in _CURES.items() if problem.startswith(start)), "")


def _char(text: str, place: Place) -> str:
    lines = text.splitlines()
    if place.line > len(lines):
        return ""
    return lines[place.line - 1][place.column - 1 : place.column]

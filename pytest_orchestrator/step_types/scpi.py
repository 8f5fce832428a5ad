"""Step type `scpi`: commands and queries of one instrument of the station.

This module uses only the interface for plugins, so a copy of it in a plugin works as well.
"""

import difflib
import importlib.util
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from pytest_orchestrator.extending import (
    Instrument,
    InstrumentError,
    KeyProblem,
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
)

_INSTALL = "python -m pip install 'pytest-orchestrator[visa]'"
_RESULT_KEYS = ("status", "reason", "units")
"""Keys of the result that no answer may have as its name."""

_VALUE = "value"
"""Name of the answer of a single query without ``as``."""

_TYPES = ("number", "integer", "boolean", "text", "list", "block")
_OF_QUERY = ("query", "as", "type", "unit", "timeout", "file")
_OF_WAIT = ("wait", "timeout")
_OF_CHECK = ("check",)
_KEYS = (*_OF_QUERY, "wait", "check")

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OTHER_BASE = re.compile(r"#(?:[hH][0-9a-fA-F]+|[qQ][0-7]+|[bB][01]+)")
_BASES = {"h": 16, "q": 8, "b": 2}
_STRING = re.compile(r"\"((?:[^\"]|\"\")*)\"|'((?:[^']|'')*)'")
_BOOLEANS = {"1": True, "+1": True, "ON": True, "0": False, "+0": False, "OFF": False}

_NOT_A_NUMBER = "not a number: there is no measured value"
_INFINITY = "infinity: the value is out of range, an overload"
_MEANINGS = {9.91e37: _NOT_A_NUMBER, 9.9e37: _INFINITY, -9.9e37: f"minus {_INFINITY}"}
_WORDS = {"NAN": _NOT_A_NUMBER, "INF": _INFINITY, "-INF": f"minus {_INFINITY}"}
_WORDS |= {"INFINITY": _INFINITY, "NINF": _WORDS["-INF"]}
"""Numbers and words by which SCPI (volume 1, 7.2.1.4) says that there is no number."""

_PYTHONS_EXPONENT = re.compile(r"(?<![\w.#])[+-]?[0-9]+(?:\.[0-9]+)?e[+-][0-9]{2}(?![\w.])")
_WIDEST = 15
"""Largest exponent of a number that is written without an exponent."""

_ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"GIF8": ".gif"}
_MOST_SHOWN = 80

Command: TypeAlias = str | dict[str, Any]
KeyPath: TypeAlias = tuple[str | int, ...]


def _item_schema() -> dict[str, Any]:
    """Return the JSON Schema of an item of `commands`, for editors."""
    texts = {
        "query": "The command that is answered, such as `MEAS:CURR?`.",
        "as": "The key of the answer in the result.",
        "type": "The type of the answer; `number` is the default.",
        "unit": "The unit of the number.",
        "file": "The file to which a block is written.",
        "timeout": "Seconds to wait for the answer, or a text such as `500ms`.",
        "wait": "`opc`, seconds, or a text such as `100ms`.",
        "check": "`errors`: the error queue has to be empty.",
    }
    kinds = {"timeout": ["number", "string"], "wait": ["number", "string"]}
    keys: dict[str, dict[str, Any]] = {
        name: {"type": kinds.get(name, "string"), "description": text}
        for name, text in texts.items()
    }
    keys["type"]["anyOf"] = [{"enum": [*_TYPES]}, {"pattern": r"\$\{\{"}]
    forms = [
        {"properties": {name: keys[name] for name in names}, "required": [names[0]]}
        for names in (_OF_QUERY, _OF_WAIT, _OF_CHECK)
    ]
    closed = [{"type": "object", "additionalProperties": False} | form for form in forms]
    return {"anyOf": [{"type": "string"}, *closed]}


class ScpiKeys(Struct):
    """Keys of a step of type `scpi`."""

    instrument: Annotated[
        str,
        Meta(
            description="The instrument, by its name in the station file.",
            examples=["psu"],
            min_length=1,
        ),
    ]
    commands: Annotated[
        list[Command],
        Meta(
            description="Commands, which are sent one after another: a text, a `query`, a `wait` "
            "or a `check`.",
            examples=[["VOLT 5", {"query": "MEAS:CURR?", "as": "amps"}]],
            min_length=1,
            extra_json_schema={"items": _item_schema()},
        ),
    ]
    check_errors: Annotated[
        bool | str,
        Meta(
            description="`false`: the error queue is not read at the end. A text: the query that "
            "reads one entry of it; the default is `SYST:ERR?`.",
            examples=[False],
        ),
    ] = True


class Scpi(StepType):
    """Send SCPI commands to an instrument; the result has the answers by their names."""

    name = "scpi"
    Keys = ScpiKeys
    background = False

    @classmethod
    def check(cls, step: WrittenStep, project: Project) -> Iterator[KeyProblem]:
        """Check that PyVISA is installed, and each item of `commands`."""
        if importlib.util.find_spec("pyvisa") is None and "visa" not in project.extras:
            yield KeyProblem(("type",), f"is {cls.name}, which needs PyVISA", _INSTALL)
        query = step.keys["check_errors"]
        if isinstance(query, str) and not _is_query(query):
            hint = "write the query of the error queue, such as 'SYST:ERR?', or false"
            yield KeyProblem(("check_errors",), "is a text that is no query", hint)
        commands = step.keys["commands"]
        if not isinstance(commands, Unevaluated):
            yield from _problems(commands)

    @classmethod
    def instruments(cls, step: StepSpec) -> Iterator[Any]:
        """Return the name of the instrument."""
        yield step.keys["instrument"]

    def run(self, keys: ScpiKeys, ctx: object, env: StepEnvironment) -> Mapping[str, Any]:
        """Send the commands; return the answers."""
        del ctx
        wrong = next(_problems(keys.commands), None)
        if wrong is not None:  # an item comes from an expression
            hint = f" ({wrong.hint})" if wrong.hint else ""
            where = f"commands[{wrong.path[1]}]{''.join(f'.{part}' for part in wrong.path[2:])}"
            raise StepFailure(f"'{where}' {wrong.message}{hint}", "validation", wrong.path)
        return _Dialog(keys, env).result()


class _Dialog:
    """Commands of one step, as they are sent.

    Args:
        keys: The keys of the step, without mistakes.
        env: The environment of the step.
    """

    def __init__(self, keys: ScpiKeys, env: StepEnvironment) -> None:
        self._keys, self._env = keys, env
        own = keys.check_errors
        self._errors = own if isinstance(own, str) else "SYST:ERR?"
        self._unchecked: list[tuple[int, str]] = []
        self._answers: dict[str, Any] = {}

    def result(self) -> Mapping[str, Any]:
        """Send all commands and return the result of the step.

        Raises:
            StepFailure: A command failed, or an answer cannot be understood.
        """
        try:
            instrument = self._env.instrument(self._keys.instrument).open()
        except InstrumentError as error:
            raise _failure(error, ("instrument",)) from None
        for at, item in enumerate(self._keys.commands):
            try:
                self._execute(instrument, at, item)
            except InstrumentError as error:
                more = self._explained(instrument, item, error)
                raise _failure(error, ("commands", at), more) from None
        if self._keys.check_errors is not False and self._unchecked:
            at = self._unchecked[0][0]
            is_one = len(self._unchecked) == 1
            path: KeyPath = ("commands", at) if is_one else ("commands",)
            try:
                self._check(instrument, path)
            except InstrumentError as error:
                raise _failure(error, path) from None
        units = {
            one.get("as", _VALUE): one["unit"]
            for one in self._keys.commands
            if isinstance(one, Mapping) and "unit" in one
        }
        return {"status": "ok", **self._answers} | ({"units": units} if units else {})

    def _execute(self, instrument: Instrument, at: int, item: Command) -> None:
        """Send one item of `commands`."""
        given = {"write": item} if isinstance(item, str) else item
        timeout = _duration(given.get("timeout"))
        if "check" in given:
            self._check(instrument, ("commands", at))
            return
        if "wait" in given and not _is_opc(given["wait"]):
            time.sleep(_duration(given["wait"]) or 0.0)
            return
        command = "*OPC?" if "wait" in given else _plain(given.get("query") or given["write"])
        self._unchecked.append((at, command))
        name = given.get("as", _VALUE)
        if "wait" in given:
            instrument.wait(timeout=timeout)
        elif "write" in given:
            instrument.write(command)
        elif _type(given) == "block":
            data = instrument.query_block(command, timeout=timeout)
            self._answers[name] = self._stored(data, at, given)
        else:
            answer = instrument.query(command, timeout=timeout)
            self._answers[name] = self._understood(answer, command, at, given)

    def _understood(self, answer: str, command: str, at: int, query: Mapping[str, Any]) -> Any:
        """Return an answer as a value of the type of its query.

        Raises:
            StepFailure: The answer is no such value.
        """
        try:
            return _CONVERTED[_type(query)](answer.strip(), query.get("unit", ""))
        except ValueError as error:
            name, shown = self._keys.instrument, _shown(answer)
            reason = f"{name}: '{command}' was answered with '{shown}', {error}"
            raise StepFailure(reason, "protocol", ("commands", at)) from None

    def _check(self, instrument: Instrument, path: KeyPath) -> None:
        """Read the error queue of the instrument.

        Raises:
            StepFailure: The queue has an entry.
        """
        entries = instrument.errors(self._errors)
        sent = [text for _, text in self._unchecked]
        self._unchecked.clear()
        if not entries:
            return
        after = ""
        if sent:
            first = f" after '{_shown(sent[0])}'"
            after = first if len(sent) == 1 else f"{first} to '{_shown(sent[-1])}'"
        found = ", then ".join(entries[:3])
        more = f", and {len(entries) - 3} more" if len(entries) > 3 else ""
        reason = f"{self._keys.instrument}: the error queue has {found}{more}{after}"
        raise StepFailure(reason, "status", path)

    def _explained(self, instrument: Instrument, item: Command, error: InstrumentError) -> str:
        """Return what the error queue says about a command that was not answered."""
        if error.kind != "timeout":
            return ""
        hint = ""
        if isinstance(item, Mapping) and "?" not in item.get("query", "?"):
            hint = " (the command has no '?': is it a query?)"
        if self._keys.check_errors is False:
            return hint
        try:
            entries = instrument.errors(self._errors)
        except InstrumentError:
            return hint
        return f"; the error queue has {', then '.join(entries[:3])}" if entries else hint

    def _stored(self, data: bytes, at: int, query: Mapping[str, Any]) -> dict[str, Any]:
        """Write a block to a file; return the path of the file and its size.

        Raises:
            StepFailure: The file cannot be written.
        """
        env, path = self._env, ("commands", at)
        try:
            if "file" in query:
                file = env.root / query["file"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            elif env.logs is None:
                cure = (
                    f"no folder keeps the block of '{query['query']}': write file: PATH beside it"
                )
                raise StepFailure(f"{self._keys.instrument}: {cure}", "not_found", path)
            else:
                file = _new_file(
                    env.logs, f"{env.step}.{env.attempt}.{query.get('as', _VALUE)}", data
                )
        except OSError as error:
            reason = f"{self._keys.instrument}: the block of '{query['query']}' cannot be written: "
            raise StepFailure(f"{reason}{error}", "not_found", path) from None
        is_inside = file.is_relative_to(env.root)
        shown = file.relative_to(env.root) if is_inside else file
        return {"file": str(shown), "bytes": len(data)}


def _failure(error: InstrumentError, path: KeyPath, more: str = "") -> StepFailure:
    kinds: dict[str, Literal["protocol", "not_found"]] = {
        "protocol": "protocol",
        "missing": "not_found",
    }
    return StepFailure(f"{error}{more}", kinds.get(error.kind, "status"), path)


def _new_file(folder: Path, stem: str, data: bytes) -> Path:
    """Write data to a new file of a folder, whose ending names the format of a picture."""
    ending = next((end for head, end in _ENDINGS.items() if data.startswith(head)), ".bin")
    stem, number = re.sub(r"[^\w.\[\]-]", "_", stem), 1
    while True:
        file = folder / f"{stem}{f'.{number}' if number > 1 else ''}{ending}"
        try:
            with file.open("xb") as new:
                new.write(data)
        except FileExistsError:  # another element of `foreach` has a block of that name
            number += 1
        else:
            return file


# Answers


def _number(text: str, unit: str) -> float | int:
    """Return the number in an answer.

    Raises:
        ValueError: There is no number; the message is the rest of a sentence.
    """
    if unit and text.lower().endswith(unit.lower()):
        text = text[: -len(unit)].rstrip()
    if _OTHER_BASE.fullmatch(text):
        return int(text[2:], _BASES[text[1].lower()])
    meaning = _WORDS.get(text.upper().lstrip("+"))
    if _NUMBER.fullmatch(text):
        value = float(text)
        meaning = _MEANINGS.get(value)
        if meaning is None and abs(value) != float("inf"):
            return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else value
    if meaning or _NUMBER.fullmatch(text):
        raise ValueError(f"which means {meaning or _INFINITY}")
    kind = "list" if "," in text and _NUMBER.match(text) else "text"
    raise ValueError(f"which is no number (write type: {kind} if that is right)")


def _integer(text: str, unit: str) -> int:
    value = _number(text, unit)
    if value != int(value):
        raise ValueError("which is no whole number (write type: number if that is right)")
    return int(value)


def _boolean(text: str, _: str) -> bool:
    if text.upper() not in _BOOLEANS:
        raise ValueError("which is none of 1, 0, ON and OFF")
    return _BOOLEANS[text.upper()]


def _text(text: str, _: str = "") -> str:
    """Return an answer as text; a quoted string without its quotes."""
    match = _STRING.fullmatch(text)
    if match is None:
        return text
    return match[2].replace("''", "'") if match[1] is None else match[1].replace('""', '"')


def _list(text: str, unit: str) -> list[Any]:
    """Return the items of an answer: numbers if all are numbers, else texts."""
    if not text:
        return []
    items = [part.strip() for part in _split(text)]
    numbers = []
    for at, item in enumerate(items, 1):
        try:
            numbers.append(_number(item, unit))
        except ValueError as error:
            if "which means" in str(error):
                reason = str(error).removeprefix("which ")
                raise ValueError(f"whose value {at:,} of {len(items):,} {reason}") from None
            return [_text(each) for each in items]
    return numbers


def _split(text: str) -> list[str]:
    """Split a text at its commas, except those within quotes."""
    if '"' not in text and "'" not in text:
        return text.split(",")
    parts, start = [], 0
    masked = _QUOTED.sub(lambda match: "q" * len(match[0]), text)
    for at, char in enumerate(masked):
        if char == ",":
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


_CONVERTED: Mapping[str, Callable[[str, str], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "text": _text,
    "list": _list,
}


# Commands


def _plain(command: str) -> str:
    """Return a command in which numbers such as ``1e-05`` are written without an exponent.

    Expressions write small and large numbers as Python does, and not every instrument reads them.
    Text in quotes, and exponents with a capital E, stay as they are.
    """

    def plain(match: re.Match[str]) -> str:
        value = Decimal(match[0])
        is_near = -_WIDEST <= value.adjusted() <= _WIDEST
        return format(value, "f") if is_near else match[0]

    if "e" not in command:
        return command
    pieces, start = [], 0
    for quoted in _QUOTED.finditer(command):
        pieces += [_PYTHONS_EXPONENT.sub(plain, command[start : quoted.start()]), quoted[0]]
        start = quoted.end()
    return "".join([*pieces, _PYTHONS_EXPONENT.sub(plain, command[start:])])


def _is_query(text: str) -> bool:
    """Return True if a command, or one that follows behind a semicolon, ends with a ``?``."""
    bare = _QUOTED.sub("", _EXPRESSION.sub("0", text))
    headers = (part.split()[:1] for part in bare.split(";"))
    return any(header and header[0].endswith("?") for header in headers)


def _type(query: Mapping[str, Any]) -> str:
    """Return the type of an answer; the two that IEEE 488.2 defines as texts need no ``type``."""
    is_text = str(query["query"]).strip().upper() in ("*IDN?", "*OPT?")
    return str(query.get("type", "text" if is_text else "number"))


def _is_opc(wait: Any) -> bool:
    return isinstance(wait, str) and wait.lower() == "opc"


def _duration(value: Any) -> float | None:
    """Return a time in seconds; None if a value is no time."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) * _SECONDS[match[2]] if match else None


def _problems(commands: Any) -> Iterator[KeyProblem]:
    """Yield the mistakes in `commands`; values that are not evaluated yet have none."""
    queries = [one for one in commands if isinstance(one, Mapping) and "query" in one]
    names: dict[str, int] = {}
    for at, command in enumerate(commands):
        path: KeyPath = ("commands", at)
        if isinstance(command, str | Unevaluated):
            text = command if isinstance(command, str) else command.text
            yield from _problems_of_text(text, path)
            continue
        forms = [key for key in ("query", "wait", "check") if key in command]
        wrong = list(_problems_of_keys(command, forms, path))
        if wrong or not forms:
            yield from wrong
            continue
        yield from _problems_of_values(command, path)
        if forms != ["query"]:
            continue
        if "as" not in command:
            if len(queries) > 1:
                hint = "as: NAME is the key of its answer in the result"
                yield KeyProblem(path, "has no 'as'; the step has more than one query", hint)
            continue
        name = command["as"]
        if isinstance(name, str):
            if name in names:
                tail = f"is '{name}', which commands[{names[name]}] has too"
                yield KeyProblem((*path, "as"), tail, "each answer needs a name of its own")
            names.setdefault(name, at)


def _problems_of_text(text: str, path: KeyPath) -> Iterator[KeyProblem]:
    if not text.strip():
        yield KeyProblem(path, "is empty, should be a command such as 'VOLT 5'")
    elif _is_query(text):
        shown = _shown(text)
        hint = f"write {{query: '{shown}', as: NAME}}, so that its answer is read"
        yield KeyProblem(path, "is a query, whose answer nothing reads", hint)


def _problems_of_keys(
    given: Mapping[str, Any], forms: Sequence[str], path: KeyPath
) -> Iterator[KeyProblem]:
    """Yield the mistakes in the keys of an item of `commands`."""
    if len(forms) > 1:
        yield KeyProblem((*path, forms[1]), f"stands beside '{forms[0]}'", "write two items")
        return
    known = {"query": _OF_QUERY, "wait": _OF_WAIT, "check": _OF_CHECK}[forms[0]] if forms else _KEYS
    unknown = [key for key in given if key not in known]
    for key in unknown:
        near = difflib.get_close_matches(key, [one for one in known if one not in given], 1)
        hint = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(known)}"
        if forms and key in _KEYS:
            hint = f"'{key}' belongs to a query"
        elif key in ("low", "high", "nominal", "tolerance"):
            hint = "limits are keys of 'measurements'"
        elif key in ("write", "send", "cmd", "command") or not (forms or near):
            hint = "a command without an answer is a text, such as 'VOLT 5'"
        yield KeyProblem((*path, key), f"is no key of a {forms[0] if forms else 'command'}", hint)
    if not forms and not unknown:
        hint = "write {query: 'MEAS:CURR?', as: amps}, {wait: opc} or {check: errors}"
        yield KeyProblem(path, "has no 'query', 'wait' or 'check'", hint)


def _problems_of_values(given: Mapping[str, Any], path: KeyPath) -> Iterator[KeyProblem]:
    """Yield the mistakes in the values of an item of `commands`."""
    known = {key: value for key, value in given.items() if not isinstance(value, Unevaluated)}
    for key, value in known.items():
        at, hint, wanted = (*path, key), "", ""
        if key in ("query", "as", "unit", "file") and not (isinstance(value, str) and value):
            wanted = "should be a text that is not empty"
        elif key == "as" and not (value.isidentifier() and value.isascii()):
            wanted = "should be a name of letters, digits and _"
        elif key == "as" and value in _RESULT_KEYS:
            wanted = "should be another name, which the result has itself"
        elif key == "type" and value not in _TYPES:
            wanted = f"should be {', '.join(_TYPES[:-1])} or {_TYPES[-1]}"
            near = _near(value)
            hint = f"did you mean '{near}'?" if near else ""
        elif key == "timeout" and not _duration(value):
            wanted = "should be seconds, or a text such as 500ms, 30s or 2m"
        elif key == "wait" and not _is_opc(value) and not _duration(value):
            wanted = "should be opc, seconds, or a text such as 100ms"
        elif key == "check" and value != "errors":
            wanted = "should be errors"
        if wanted:
            yield KeyProblem(at, f"is {_quoted(value)}, {wanted}", hint)
    yield from _problems_between(given, known, path)


def _problems_between(
    given: Mapping[str, Any], known: Mapping[str, Any], path: KeyPath
) -> Iterator[KeyProblem]:
    """Yield keys of an item of `commands` that contradict each other."""
    kind = _type(given) if "query" in given else ""
    if "unit" in given and kind in ("text", "boolean", "block"):
        yield KeyProblem((*path, "unit"), f"stands beside type: {kind}", "a number has a unit")
    if "file" in given and kind in _TYPES[:-1]:
        yield KeyProblem((*path, "file"), f"stands beside type: {kind}", "write type: block")
    if "wait" in known and not _is_opc(known["wait"]) and "timeout" in given:
        yield KeyProblem((*path, "timeout"), "stands beside a time", "only wait: opc has a timeout")


_SYNONYMS = {"float": "number", "double": "number", "real": "number", "int": "integer"}
_SYNONYMS |= {"bool": "boolean", "str": "text", "string": "text", "array": "list"}
_SYNONYMS |= {"bytes": "block", "binary": "block"}


def _near(value: Any) -> str:
    """Return the type that was probably meant; an empty text if none was."""
    if str(value).lower() in _SYNONYMS:
        return _SYNONYMS[str(value).lower()]
    return next(iter(difflib.get_close_matches(str(value), _TYPES, 1)), "")


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f"'{_shown(value)}'"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return str(value)


def _shown(text: str) -> str:
    """Return a text for a message: one line, without control characters, cut if it is long."""
    part = text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in part
    )

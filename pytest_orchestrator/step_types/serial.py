"""Step type `serial`: a dialog with the console of a device at a serial port, by pyserial.

This module uses only the interface for plugins, so a copy of it in a plugin works as well.
"""

import codecs
import contextlib
import difflib
import errno
import importlib.util
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from pytest_orchestrator.extending import (
    KeyProblem,
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
)

_INSTALL = "python -m pip install 'pytest-orchestrator[serial]'"
_RESULT_KEYS = ("status", "reason")
"""Keys of the result that no group may have as its name."""

_WITHIN = 10.0
"""Seconds within which an expected text has to be received, unless the line says more."""

_FORMS = {"send": ("send",), "expect": ("expect", "within", "as"), "wait": ("wait",)}
"""Keys of a line of the dialog, by the key that says what it does."""

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_PAUSE = 0.05
"""Seconds after which a read without data returns."""

_CHUNK = 256
"""Bytes that are sent before the output of the device is read again."""

_MOST_READ = 1 << 16
"""Bytes that are read at a time."""

_MOST_KEPT, _MOST_SHOWN = 1 << 20, 200
"""Characters of received text that are kept for the next match, and shown in a failure."""

KeyPath: TypeAlias = tuple[str | int, ...]


def _line_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line of the dialog, for editors."""
    texts = {
        "send": "The text that is sent, with its line end.",
        "expect": "The regular expression that the received text has to match.",
        "within": "Seconds, or a text such as `500ms`; the default is 10 s.",
        "as": "The key of the matched text, or of its groups, in the result.",
        "wait": "Seconds, or a text such as `100ms`.",
    }
    kinds = {"within": ["number", "string"], "wait": ["number", "string"]}
    keys = {
        name: {"type": kinds.get(name, "string"), "description": text}
        for name, text in texts.items()
    }
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {name: keys[name] for name in names},
                "required": [form],
                "additionalProperties": False,
            }
            for form, names in _FORMS.items()
        ]
    }


class SerialKeys(Struct):
    """Keys of a step of type `serial`."""

    port: Annotated[
        str,
        Meta(
            description="The device file of the port, or an address of pyserial such as "
            "`socket://host:7000`.",
            examples=["/dev/ttyUSB0"],
            min_length=1,
        ),
    ]
    dialog: Annotated[
        list[dict[str, Any]],
        Meta(
            description="The lines of the dialog: each has a text to `send`, a text to `expect`, "
            "or a time to `wait`.",
            examples=[[{"send": "root\n"}, {"expect": "[$#] ", "within": "5s"}]],
            min_length=1,
            extra_json_schema={"items": _line_schema()},
        ),
    ]
    baud: Annotated[int, Meta(description="The baud rate.", examples=[9600], ge=1)] = 115200
    bytesize: Annotated[
        int, Meta(description="The number of data bits.", examples=[7], ge=5, le=8)
    ] = 8
    parity: Annotated[
        Literal["N", "E", "O", "M", "S"],
        Meta(description="The parity: none, even, odd, mark or space.", examples=["E"]),
    ] = "N"
    stopbits: Annotated[
        float, Meta(description="The number of stop bits: 1, 1.5 or 2.", examples=[2], ge=1, le=2)
    ] = 1
    rtscts: Annotated[bool, Meta(description="Flow control by RTS and CTS.", examples=[True])] = (
        False
    )
    xonxoff: Annotated[bool, Meta(description="Flow control by XON and XOFF.", examples=[True])] = (
        False
    )


class Serial(StepType):
    """Hold a dialog with a device at a serial port; the result has the groups of its matches."""

    name = "serial"
    Keys = SerialKeys
    imports = ("serial",)
    replays = True
    background = False

    @classmethod
    def check(cls, step: WrittenStep, project: Project) -> Iterator[KeyProblem]:
        """Check that pyserial is installed, and each line of the dialog."""
        if importlib.util.find_spec("serial") is None and "serial" not in project.extras:
            yield KeyProblem(("type",), f"is {cls.name}, which needs pyserial", _INSTALL)
        if step.keys["stopbits"] not in (1, 1.5, 2) and not _is_late(step.keys["stopbits"]):
            yield KeyProblem(("stopbits",), "should be 1, 1.5 or 2")
        if not _is_late(step.keys["dialog"]):
            yield from _problems(step.keys["dialog"])

    @classmethod
    def locks(cls, step: StepSpec) -> Iterator[str]:
        """Return the path of the port, so that one step at a time uses it."""
        port = step.keys["port"]
        if "://" not in port:
            yield os.path.realpath(port)
        elif not port.startswith("loop://"):
            yield port

    def run(self, keys: SerialKeys, ctx: object, env: StepEnvironment) -> Mapping[str, Any]:
        """Open the port and hold the dialog."""
        del ctx
        wrong = next(_problems(keys.dialog), None)
        if wrong is not None:  # a line comes from an expression
            hint = f" ({wrong.hint})" if wrong.hint else ""
            where = f"dialog[{wrong.path[1]}]{''.join(f'.{part}' for part in wrong.path[2:])}"
            raise StepFailure(f"'{where}' {wrong.message}{hint}", "validation", wrong.path)
        result: dict[str, Any] = {"status": "ok"}
        with contextlib.nullcontext() if env.recorded is not None else _opened(keys) as port:
            console = (_Console if port else _Recorded)(port, keys.port, env)
            try:
                for at, line in enumerate(keys.dialog):
                    result |= console.execute(line, ("dialog", at))
            finally:
                console.end()
        return result


class _Console:
    """The received text of a device, and the lines of a dialog with it.

    Args:
        port: The open port.
        name: The name of the port in messages.
        env: The environment of the step; its log is the transcript.
    """

    def __init__(self, port: Any, name: str, env: StepEnvironment) -> None:
        self._port, self._name, self._log, self._env = port, name, env.log, env
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._text = ""  # received, and not matched yet
        self._has_matched = False
        self._line = ""  # received, and not logged yet

    def execute(self, line: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        """Execute a line of the dialog, and return what it adds to the result.

        Raises:
            StepFailure: The expected text was not received in time, or the connection is lost.
        """
        if "send" in line:
            doing = f"'{_shown(line['send'])}' was sent"
        elif "expect" in line:
            doing = f"'{line['expect']}' was expected"
        else:
            doing = "the dialog waited"
        try:
            if "send" in line:
                self._send(line["send"])
                self._record(line)
            elif "expect" in line:
                return self._expect(line, path)
            else:
                self._until(time.monotonic() + (_duration(line["wait"]) or 0.0), bool)
        except _errors() as error:
            reason = f"{self._name}: the connection was lost while {doing}: {error}"
            self._record(line, error=reason, kind="closed")
            raise StepFailure(f"{reason}; {self._received()}", "status", path) from None
        return {}

    def _record(self, line: Mapping[str, Any], **end: Any) -> None:
        """Record a line of the dialog in the journal; a wait that fails is a ``read``."""
        do: Literal["write", "read"] = "write" if "send" in line else "read"
        self._env.record_exchange(self._name, do, line.get("send", line.get("expect", "")), **end)

    def end(self) -> None:
        """Read and log the rest of the output."""
        with contextlib.suppress(*_errors()):
            self._read()
        self._add(self._decoder.decode(b"", final=True))
        self._log_prompt()

    def _log_prompt(self) -> None:
        """Log a received line that has no end yet."""
        if self._line:
            self._log.info("< %s", _escaped(self._line))
            self._line = ""

    def _send(self, text: str) -> None:
        self._log_prompt()
        self._log.info("> %s", _escaped(text))
        data = text.encode()
        for start in range(0, len(data), _CHUNK):
            if start:  # the device echoes what it has received
                self._read()
            self._port.write(data[start : start + _CHUNK])

    def _expect(self, line: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        pattern = re.compile(line["expect"], re.MULTILINE)
        seconds = _duration(line.get("within")) or _WITHIN
        self._log.debug("waits at most %g s for '%s'", seconds, line["expect"])
        match = self._until(time.monotonic() + seconds, lambda: pattern.search(self._text))
        if match is None:
            reason = f"{self._name}: no match for '{line['expect']}' within {seconds:g} s"
            self._record(line, answer=self._text or None, error=reason, kind="timeout")
            raise StepFailure(f"{reason}; {self._received()}", "status", path)
        return self._matched(line, match)

    def _matched(self, line: Mapping[str, Any], match: re.Match[str]) -> dict[str, Any]:
        """Take a matched text out of the received one; return what it adds to the result."""
        self._record(line, answer=self._text[: match.end()])
        self._text, self._has_matched = self._text[match.end() :], True
        return _values(match, line.get("as"))

    def _until(self, deadline: float, found: Callable[[], Any]) -> Any:
        """Read until a function returns a true value, and return that; None at the deadline."""
        while not (value := found()):
            if time.monotonic() >= deadline:
                return None
            self._read(self._port.read(1))
        return value

    def _read(self, first: bytes = b"") -> None:
        """Read what has arrived, without waiting for more."""
        data = bytearray(first)
        while len(data) < _MOST_READ and (waiting := self._port.in_waiting):
            data += self._port.read(waiting)
        self._add(self._decoder.decode(bytes(data)))

    def _add(self, text: str) -> None:
        if not text:
            return
        print(text, end="", flush=True)  # noqa: T201 - the output of the step
        self._text = (self._text + text)[-_MOST_KEPT:]
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log.info("< %s", _escaped(line))

    def _received(self) -> str:
        """Return the end of a sentence about a failure: the text that no line has matched."""
        if not self._text:
            return f"nothing was received{' after the last match' if self._has_matched else ''}"
        return f"last received: '{_shown(self._text, _MOST_SHOWN)}'"


class _Recorded(_Console):
    """A dialog whose device is the record of an earlier run; nothing waits."""

    def __init__(self, port: None, name: str, env: StepEnvironment) -> None:
        super().__init__(port, name, env)
        self._left = [*(env.recorded or ())]

    def execute(self, line: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        """Execute a line of the dialog with what the record has."""
        if "send" in line:
            self._log_prompt()
            self._log.info("> %s", _escaped(line["send"]))
            self._replay_send(line["send"], path)
            self._record(line)
        elif "expect" in line:
            return self._replay_expect(line, path)
        return {}

    def _replay_send(self, text: str, path: KeyPath) -> None:
        for at, one in enumerate(self._left):
            if one.do == "write" and one.command == text and not one.gap:
                del self._left[: at + 1]
                if one.error:
                    self._record({"send": text}, error=one.error, kind=one.kind)
                    raise StepFailure(f"{one.error}; {self._received()}", "status", path)
                return
        sent = [one.command for one in self._left if one.do == "write"]
        raise StepFailure(self._unknown(text, sent), "status", path)

    def _replay_expect(self, line: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        pattern, end = re.compile(line["expect"], re.MULTILINE), {"error": "", "kind": ""}
        while not (match := pattern.search(self._text)):
            if end["error"] or not self._left or self._left[0].do != "read" or self._left[0].gap:
                break
            one = self._left.pop(0)
            self._add(one.answer or "")
            end = {"error": one.error, "kind": one.kind}
        if match is None:
            if not end["error"]:
                end = {"error": self._unknown(line["expect"], ()), "kind": "status"}
            self._record(line, answer=self._text or None, **end)
            raise StepFailure(f"{end['error']}; {self._received()}", "status", path)
        return self._matched(line, match)

    def _unknown(self, text: str, known: Sequence[str]) -> str:
        why = "it was not recorded in this step"
        if any(one.gap == "masked" for one in self._left):
            why += ", or has a secret, which the record masks"
        if any(one.gap == "cut" for one in self._left):
            why += ", or was cut"
        near = difflib.get_close_matches(text, known, 1, 0.0)
        return f"{self._name}: '{_shown(text)}' cannot be replayed: {why}" + (
            f"; the nearest recorded text is '{_shown(near[0])}'" if near else ""
        )

    def _read(self, first: bytes = b"") -> None:
        """Read nothing: the record has no more."""


def _opened(keys: SerialKeys) -> Any:
    """Open the port of a step.

    Raises:
        StepFailure: The port cannot be opened.
    """
    import serial

    name = keys.port
    is_device = "://" not in name
    try:
        return serial.serial_for_url(
            name,
            baudrate=keys.baud,
            bytesize=keys.bytesize,
            parity=keys.parity,
            stopbits=keys.stopbits,
            rtscts=keys.rtscts,
            xonxoff=keys.xonxoff,
            timeout=_PAUSE,
            **({"exclusive": True} if is_device else {}),
        )
    except ValueError as error:
        raise StepFailure(f"{name}: {error}", "validation", "port") from None
    except _errors() as error:
        number = getattr(error, "errno", None)
        if is_device and not Path(name).exists():
            raise StepFailure(f"no port '{name}'{_near(name)}", "not_found", "port") from None
        if number in (errno.EAGAIN, errno.EBUSY):
            reason = f"{name}: the port is in use by another program"
        elif number in (errno.EACCES, errno.EPERM):
            reason = f"{name}: no permission to use the port{_group(name)}"
        else:
            reason = f"{name}: the port cannot be opened: {error}"
        raise StepFailure(reason, "status", "port") from None


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a port that is lost or cannot be opened."""
    try:
        import termios
    except ImportError:  # Windows
        return (OSError,)
    return (OSError, termios.error)


def _near(name: str) -> str:
    """Return a hint in brackets: the ports with similar names, else all ports."""
    from serial.tools.list_ports import comports

    folder = Path(name).parent
    ports = {port.device for port in comports()}
    if folder not in (Path(), Path("/dev")) and folder.is_dir():  # such as /dev/serial/by-id
        ports |= {str(each) for each in folder.iterdir()}
    if not ports:
        return " (this machine has no serial port)"
    near = difflib.get_close_matches(name, ports, 3, 0.85)
    if near:
        return f" (did you mean {' or '.join(map(repr, near))}?)"
    listed = sorted(ports)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f" (there is {', '.join(listed[:5])}{more})"


def _group(name: str) -> str:
    try:
        return f" (its group is {Path(name).group()})"
    except (KeyError, OSError):
        return ""


def _values(match: re.Match[str], name: str | None) -> dict[str, Any]:
    """Return the entries of the result for a match.

    Args:
        match: The match.
        name: The key of the result; None if the line of the dialog has none.
    """
    named = match.groupdict()
    if name is None:
        return named
    if named:
        return {name: named}
    groups = match.groups()
    if not groups:
        return {name: match[0]}
    return {name: groups[0] if len(groups) == 1 else list(groups)}


def _duration(value: Any) -> float | None:
    """Return a time in seconds; None if a value is no time."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) * _SECONDS[match[2]] if match else None


def _is_late(value: Any) -> bool:
    return isinstance(value, Unevaluated)


def _problems(dialog: Any) -> Iterator[KeyProblem]:
    """Yield the mistakes in a dialog; values that are not evaluated yet have none."""
    names: dict[str, int] = {}
    for at, line in enumerate(dialog):
        path: KeyPath = ("dialog", at)
        if _is_late(line):
            continue
        wrong = list(_problems_of_keys(line, path))
        yield from wrong
        if wrong:
            continue
        yield from _problems_of_values(line, path)
        for key, name in _names(line):
            if name in _RESULT_KEYS:
                tail = f"has the name '{name}', which the result has itself"
                yield KeyProblem((*path, key), tail, "choose another name")
            elif name in names:
                tail = f"has the name '{name}', which dialog[{names[name]}] has too"
                yield KeyProblem((*path, key), tail, "each needs a name of its own")
            names.setdefault(name, at)


def _problems_of_keys(line: Mapping[str, Any], path: KeyPath) -> Iterator[KeyProblem]:
    """Yield the mistakes in the keys of a line."""
    forms = [key for key in _FORMS if key in line]
    if len(forms) > 1:
        yield KeyProblem((*path, forms[1]), f"stands beside '{forms[0]}'", "write two lines")
        return
    known = _FORMS[forms[0]] if forms else tuple(_FORMS)
    unknown = [key for key in line if key not in known]
    for key in unknown:
        near = difflib.get_close_matches(key, [one for one in known if one not in line], 1)
        if key == "timeout" and forms == ["expect"]:
            near = ["within"]
        others = f"the keys are {', '.join(known)}" if len(known) > 1 else "leave it out"
        hint = f"did you mean '{near[0]}'?" if near else others
        tail = f"is no key of a line with '{forms[0]}'" if forms else "is no key of a line"
        yield KeyProblem((*path, key), tail, hint)
    if not forms and not unknown:
        hint = 'write {send: "root\\n"}, {expect: "login: "} or {wait: 100ms}'
        yield KeyProblem(path, "has no 'send', 'expect' or 'wait'", hint)


def _problems_of_values(line: Mapping[str, Any], path: KeyPath) -> Iterator[KeyProblem]:
    """Yield the mistakes in the values of a line."""
    known = {key: value for key, value in line.items() if not _is_late(value)}
    for key, value in known.items():
        message, hint = "", ""
        if key in ("send", "expect", "as") and not isinstance(value, str):
            message = "should be text"
        elif value == "":
            message = "should not be empty"
        elif key == "send" and re.search(r"(?:\\r|\\n)\Z", value):
            message = f"ends with a backslash and {value[-1]}, which is no line end"
            hint = "write the text in double quotes"
        elif key == "expect":
            message = _problem_of_pattern(value)
        elif key == "as" and not (value.isidentifier() and value.isascii()):
            message = "should be a name of letters, digits and _"
        elif key in ("within", "wait") and not _duration(value):
            message = "should be seconds, or a text such as 500ms, 30s or 2m"
        if message:
            yield KeyProblem((*path, key), message, hint)


def _problem_of_pattern(pattern: str) -> str:
    """Return the mistake in a regular expression; an empty text if it is good."""
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    return "matches an empty text, so it waits for nothing" if compiled.search("") else ""


def _names(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of the result that a line gives, each with the key that says so."""
    name, pattern = line.get("as"), line.get("expect")
    if isinstance(name, str):
        yield "as", name
    elif "as" not in line and isinstance(pattern, str) and not _problem_of_pattern(pattern):
        for group in re.compile(pattern, re.MULTILINE).groupindex:
            yield "expect", group


def _escaped(text: str) -> str:
    """Return a text as one line without control characters."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _shown(text: str, most: int = 80) -> str:
    """Return the end of a text for a message."""
    return _escaped(text if len(text) <= most else f"…{text[-most:]}")

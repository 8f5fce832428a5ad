"""Instruments of a recorded run as a file of PyVISA-sim, which answers each command in one way."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.text import counted
from pytest_orchestrator.instrument import shown

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentExchange
    from pytest_orchestrator.execution.instruments.transcript import Transcript

_CLASSES: Final = ("SOCKET", "RAW")
"""Last parts of a resource that name its class; any other one is ``INSTR``."""


def simulation(transcript: "Transcript") -> str:
    """Return the file of PyVISA-sim with the instruments of a run.

    A command that the instrument has answered in several ways gets its last answer. One that had no
    answer has none here either, so that its query times out, as that of any unknown command.

    Args:
        transcript: The run. Its devices that are in no station file are left out.
    """
    devices, resources = list[str](), list[str]()
    for name, use in transcript.opened.items():
        own = [one for one in transcript.exchanges if one.instrument == name]
        end = use.settings.get("write_termination") or "\r\n"
        answered = use.settings.get("read_termination") or "\n"
        eom = f"{{q: {_text(end)}, r: {_text(answered)}}}"
        devices += [f"  {_text(name)}:", f"    eom: {{{_kind(use.resource)}: {eom}}}"]
        lines = [*_dialogues(own)]
        has_one = any(line.lstrip().startswith("-") for line in lines)
        devices += ["    dialogues:" if has_one else "    dialogues: []", *lines]
        resources.append(f"  {_text(use.resource)}: {{device: {_text(name)}}}")
    head = f"# The instruments of run {transcript.run}, as they answered then."
    lines = [head, 'spec: "1.1"', "devices:", *devices, "resources:", *resources]
    return "\n".join(lines) + "\n"


def _dialogues(exchanges: "list[InstrumentExchange]") -> Iterator[str]:
    """Yield a line for each command, and a comment for one that the file cannot have."""
    answers: dict[str, dict[str, None]] = {}
    unfit: dict[str, str] = {}
    asked = ""
    for one in exchanges:
        command, answer = one.command, one.answer
        if one.gap:
            why = "a secret" if one.gap == "masked" else "all later ones: the record was cut"
            unfit[shown(command, 80)] = why
        elif one.do in ("block", "write_block"):
            unfit[shown(command, 80)] = "a binary block"
        elif one.do == "read":
            command = asked
        if one.gap or one.do in ("open", "block", "write_block") or not command:
            continue
        asked, known = command, answers.setdefault(command, {})
        if answer is not None:
            known.pop(answer, None)
            known[answer] = None
    for command, known in answers.items():
        *others, last = known or [None]
        reply = "" if last is None else f", r: {_text(last)}"
        more = f"   # the last of {counted(len(known), 'answer')}" if others else ""
        yield f"      - {{q: {_text(command)}{reply}}}{more}"
    for command, why in unfit.items():
        yield f"      # left out: {command or 'a command'}, {why}"


def _kind(resource: str) -> str:
    """Return interface and class of a resource, such as ``TCPIP SOCKET``."""
    interface = re.match("[A-Za-z]*", resource)
    last = resource.rpartition("::")[2].upper()
    return f"{interface[0].upper() if interface else ''} {last if last in _CLASSES else 'INSTR'}"


def _text(text: str) -> str:
    """Return a text as YAML in quotes."""
    escaped = (json.dumps(one)[1:-1] if one <= "~" else f"\\U{ord(one):08x}" for one in text)
    return f'"{"".join(escaped)}"'

"""The situations of the terminal with a plugin and without it: no outcome may be lost."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.plugin.situations import OPTIONS, SITUATIONS, Situation
from tests.plugin.terminal import Size, TerminalProcess

_SIZE = Size(120, 40)
_OTHER_PLUGINS = ("-p", "no:hypothesispytest", "-p", "no:randomly")


def lost(without: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return what is wrong in situations in which a plugin writes to the terminal.

    Args:
        without: Arguments of pytest with which the plugin writes nothing.
        args: Arguments of pytest with which it writes.
    """
    return [
        f"{name}: {wrong}"
        for name, situation in SITUATIONS.items()
        for wrong in _wrong(situation, without, args)
    ]


def _wrong(situation: Situation, without: Sequence[str], args: Sequence[str]) -> Iterator[str]:
    junit, _, status = _run(situation, without)
    plain = outcomes_in(junit)
    junit, text, status_beside = _run(situation, args)
    outcomes = outcomes_in(junit)
    if (status, status_beside) != (situation.status, situation.status):
        yield f"exit status {status_beside}, {status} without it, wanted {situation.status}"
    yield from (f"{test} was {plain[test]}" for test in plain if outcomes.get(test) != plain[test])
    yield from (f"{reason!r} is not on the terminal" for reason in missing_reasons(junit, text))
    yield from sorted(set(re.findall(r"INTERNALERROR|pytest_orchestrator/\S+\.py", text)))


def _run(situation: Situation, args: Sequence[str]) -> tuple[str, str, int]:
    """Run pytest in a situation; return its JUnit file, its output and its exit status."""
    with TemporaryDirectory(prefix="neighbour-") as folder:
        for name, text in situation.files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        argv = [sys.executable, "-m", "pytest", *_OTHER_PLUGINS, *OPTIONS, *situation.args, *args]
        popen = partial(subprocess.Popen, cwd=folder)
        terminal = TerminalProcess(popen, [*argv, "--junitxml=junit.xml"], _SIZE)
        if situation.ctrl_c_at:
            terminal.wait_for_file(Path(folder, situation.ctrl_c_at))
            terminal.process.send_signal(signal.SIGINT)
        status = terminal.status()
        junit = Path(folder, "junit.xml").read_text(encoding="utf-8")
        return junit, terminal.raw.decode(errors="replace"), status


def missing_reasons(junit: str, text: str) -> list[str]:
    """Return the reasons of failures in a JUnit file that are not on a terminal.

    Only letters and digits are compared, because a terminal breaks lines and plugins draw boxes.
    """
    messages = [one.get("message", "") for one in ElementTree.fromstring(junit).iter("failure")]
    shown = _letters(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))
    reasons = [message.partition("\n")[0] for message in messages]
    return [reason for reason in reasons if _letters(reason) not in shown]


def _letters(text: str) -> str:
    return re.sub(r"\W", "", text)


def outcomes_in(junit: str) -> dict[str, list[str]]:
    """Return the outcomes of all tests in the text of a JUnit file, by their names."""
    return {
        f"{case.get('classname')}::{case.get('name')}": sorted(
            f"{one.tag} {one.get('type', '')}"
            for one in case
            if one.tag in ("failure", "error", "skipped")
        )
        for case in ElementTree.fromstring(junit).iter("testcase")  # pytest wrote it
    }

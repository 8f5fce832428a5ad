"""NAME
    unit_console - serial console of a simulated unit

DESCRIPTION
    `serve` answers at a pseudo-terminal until its process is ended: it is a
    service. A symbolic link names the terminal, as /dev/serial/by-id does.

USAGE
    In a recipe, see recipes/psu_scpi.yaml:
        type: python
        module: scriptlets.python.steps.unit_console
        function: serve
        params: {link: out/psu/console}
        background: true
        ready: {stdout_matches: "^console at "}
    Alone:
        python scriptlets/python/steps/unit_console.py --params '{"link": "console"}'

RETURNS
    Nothing, since it runs until its process is ended. The console asks for a
    login, and then for commands:
        version      firmware 2.4
        exit         asks for a login again

LIMITATIONS
    Accepts any name and no password. Has no other commands.
"""

import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_orchestrator import main

LOGIN, PROMPT = "login: ", "# "


def serve(params: dict[str, Any]) -> dict[str, Any]:
    """Answer at a pseudo-terminal until the process is ended.

    Args:
        params: `link`: the path of the symbolic link to the terminal.

    Returns:
        The status; never reached.
    """
    console, port = os.openpty()
    tty.setraw(port)
    link = Path(params["link"])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(port))
    print(f"console at {link}", flush=True)  # noqa: T201 - says that the service is ready
    for answer in answers(lines(console)):
        os.write(console, answer.encode())
    return {"status": "ok"}


def lines(console: int) -> Iterator[str]:
    """Yield the lines that are received, without their ends.

    Args:
        console: The descriptor of the master side of the pseudo-terminal.
    """
    received = b""
    while data := os.read(console, 1024):
        received += data
        *whole, received = received.split(b"\n")
        yield from (line.decode(errors="replace").strip("\r") for line in whole)


def answers(received: Iterator[str]) -> Iterator[str]:
    """Yield the answer of the console to each line, with the echo of the line.

    Args:
        received: The lines.
    """
    is_in = False
    for line in received:
        if not is_in:
            is_in = bool(line)
            answer = PROMPT if is_in else LOGIN
        elif line == "version":
            answer = f"firmware 2.4\r\n{PROMPT}"
        elif line == "exit":
            is_in, answer = False, LOGIN
        else:
            answer = f"{line}: no such command\r\n{PROMPT}" if line else PROMPT
        yield f"{line}\r\n{answer}"


if __name__ == "__main__":
    main(serve)

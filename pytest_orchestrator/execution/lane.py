"""A lane: a process that runs one program at a time and is the parent of all it leaves behind.

It ends, with everything below it, as soon as pytest or the supervisor is gone. Signals do not
end it: what a continuous integration sends to all processes is for pytest to answer.
"""

from __future__ import annotations

import os
import select
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    getsignal,
    signal,
)

from pytest_orchestrator.execution import program, wire
from pytest_orchestrator.execution.portable import descendants_by
from pytest_orchestrator.execution.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from pytest_orchestrator.execution.kernel import Abilities
    from pytest_orchestrator.execution.watch import Start

SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)
"""Those that a lane outlives; programs that are started get them as they were."""
DEFAULTS = (*SIGNALS, SIGCHLD)
"""Those that a program is started with as the system sets them."""


def outlive_signals() -> None:
    """Take no notice of signals; programs that are started get them as they were.

    But SIGCHLD: whoever has started pytest may ignore it, or a module that a lane has imported,
    and then the kernel keeps no exit status of any child.
    """
    signal(SIGCHLD, SIG_DFL)
    for number in SIGNALS:
        if getsignal(number) != SIG_IGN:
            # Not SIG_IGN, which a program would inherit.
            signal(number, lambda *_: None)


def serve(
    control: socket, alive: int, abilities: Abilities, start: Start = program.started
) -> None:
    """Run what is asked for until nobody asks any more.

    Args:
        control: Requests come by it, replies go by it.
        alive: Its end tells that the supervisor is gone.
        abilities: What may be used of the system.
        start: Starts the program of a request.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(alive, select.POLLIN)
    descendants = descendants_by(abilities)
    while all(fd != alive for fd, _ in poll.poll()):
        try:
            request, fds = wire.receive(control)
            kept = request["kept"] = [fds.pop(0) for _ in range(request.get("kept", 0))]
            # The last of the files are the program's own, the others copies of its output.
            live = len(fds) - request.get("handed", 0)
            request["handed"] = fds[live:]
            if "cancel" in request:  # it came too late
                continue
            watch = Watch(
                request,
                fds[:live],
                control=control,
                alive=alive,
                abilities=abilities,
                descendants=descendants,
            )
            reply = watch.run(program.forked if "module" in request else start)
            if watch.gone:
                return
            for fd in kept:
                os.close(fd)
            wire.send(control, reply)
        except (EOFError, ConnectionError):
            return

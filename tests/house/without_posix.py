"""Calls the command line, and imports what is promised, without what Windows does not have.

Arguments: a JSON list of command lines. Prints a JSON list: what could not be imported, and for
each command line its exit code and its last line on stderr.
"""

import contextlib
import importlib
import io
import json
import multiprocessing  # noqa: F401  # as all below: imported before something of it is gone
import os
import pkgutil
import select
import shutil  # noqa: F401
import signal
import socket
import socketserver  # noqa: F401
import subprocess  # noqa: F401
import sys
from pathlib import Path

import pytest_orchestrator

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios")
NAMES = {
    os: "O_CLOEXEC O_NOCTTY O_NOFOLLOW P_PID WEXITED WNOHANG WNOWAIT fork getegid geteuid getgid "
    "getpgid getsid getuid killpg mkfifo pidfd_open pipe2 posix_spawn pread register_at_fork "
    "sched_getaffinity setsid sysconf uname wait3 wait4 waitid",
    select: "epoll poll",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 "
    "SIGUSR2 SIGXFSZ pthread_kill pthread_sigmask setitimer sigtimedwait sigwait",
    socket: "AF_UNIX CMSG_LEN SCM_RIGHTS recv_fds send_fds",
}
# What runs steps, and what of the plugin comes with the first of them.
NOT_PROMISED = ("pytest_orchestrator.execution.", "pytest_orchestrator.monitor.")


def take_away() -> None:
    """Let this process be without them."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in NAMES.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)


def unlike() -> list[str]:
    """Return what of the package is promised and cannot be imported, with the reason."""
    told = []
    for module in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
        if module.name.startswith(NOT_PROMISED):
            continue
        try:
            importlib.import_module(module.name)
        except Exception as error:  # noqa: BLE001  # each is told
            if "pytest_orchestrator/execution/" not in _place(error):
                told.append(f"{module.name}: {error!r}")
    return told


def _place(error: BaseException) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        place = name if "pytest_orchestrator" in name else place
        trace = trace.tb_next
    return place


def called(words: list[str]) -> tuple[int, str]:
    """Call the command line; return how it exited, and the last line that it said."""
    from pytest_orchestrator.cli.main import main

    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, errors.getvalue().strip().rpartition("\n")[2]


def read() -> list[str]:
    """Read files as reports and seals do; return what was not read."""
    from pytest_orchestrator.reports.text import tail
    from pytest_orchestrator.runs.journal.writer import sealed_files

    told = {"tail": tail("pytest.ini", 4), "contents": sealed_files(Path("recipes"))}
    return [name for name, found in told.items() if not found]


if __name__ == "__main__":
    take_away()
    lines = [line.split() for line in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps([unlike() + read(), *map(called, lines)]))

"""Program that calls the command line, and imports modules, without the parts of POSIX.

Argument: a JSON list of command lines. Prints a JSON list: the modules that could not be imported,
then for each command line its exit code and its last line on stderr.
"""

import contextlib
import importlib
import io
import json
import multiprocessing  # noqa: F401  # here and below: imported before its POSIX parts are removed
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
# Packages that run steps, and the monitor.
NOT_PROMISED = (
    "pytest_orchestrator.addons.dask.",
    "pytest_orchestrator.execution.",
    "pytest_orchestrator.monitor.",
)


def remove_posix() -> None:
    """Remove the modules and names that Windows does not have from this process."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in NAMES.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)


def import_errors() -> list[str]:
    """Return the modules that are promised and cannot be imported, each with its error."""
    errors = []
    for module in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
        if module.name.startswith(NOT_PROMISED):
            continue
        try:
            importlib.import_module(module.name)
        except Exception as error:  # noqa: BLE001  # any error is returned
            if "pytest_orchestrator/execution/" not in _place(error):
                errors.append(f"{module.name}: {error!r}")
    return errors


def _place(error: BaseException) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        place = name if "pytest_orchestrator" in name else place
        trace = trace.tb_next
    return place


def called(words: list[str]) -> tuple[int, str]:
    """Call the command line; return its exit code and its last line on stderr."""
    from pytest_orchestrator.cli.main import main

    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, errors.getvalue().strip().rpartition("\n")[2]


def read_errors() -> list[str]:
    """Read files as reports and the journal's seal do; return the names of failed readers."""
    from pytest_orchestrator.reports.text import tail
    from pytest_orchestrator.runs.journal.writer import sealed_files

    contents = {"tail": tail("pytest.ini", 4), "contents": sealed_files(Path("recipes"))}
    return [name for name, content in contents.items() if not content]


if __name__ == "__main__":
    remove_posix()
    lines = [line.split() for line in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps([import_errors() + read_errors(), *map(called, lines)]))

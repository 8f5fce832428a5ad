"""Serve a Context to other processes until Ctrl-C.

Who may ask it finds address and token in .orchestrator/server.json. With --file every change is
kept: started again with that file, it goes on where it ended, however it ended.
"""

import argparse
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.runs.durable_context import DurableContext

EXAMPLE = "serve --file bench.jsonl"

_ENDS = (signal.SIGINT, signal.SIGTERM)
_LOOPBACK = ("127.", "localhost", "::1")


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen (default: 127.0.0.1, which other machines cannot reach)",
    )
    parser.add_argument("--port", type=int, default=0, help="the port (default: any free one)")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="PATH",
        help="keep every change in this file, and go on with it",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help="take the token from this file, which is made where it is not there",
    )


def run(args: argparse.Namespace) -> int:
    """Serve it."""
    if not hasattr(signal, "pthread_sigmask"):
        raise UsageError("a Context is served on Linux and macOS, on Windows in WSL")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # all threads have it from here
    try:
        kept = None if args.file is None else _kept(args.file)
        try:
            return _served(_new() if kept is None else kept.context, args)
        finally:
            if kept is not None:
                kept.journal.sync()
                kept.journal.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _served(context: "Context", args: argparse.Namespace) -> int:
    from pytest_orchestrator.context.rpc.address import FILE, AddressFile, CannotListen
    from pytest_orchestrator.context.rpc.server import Server

    server = Server(context, token=_token(args.token_file), host=args.host, port=args.port)
    try:
        server.start()
    except CannotListen as error:
        _say(str(error))
        return 1
    with contextlib.closing(server):
        notice = AddressFile(project().root / FILE, server.address, server.token)
        try:
            notice.put_up()
        except OSError as error:
            _say(f"{notice.path} cannot be written: {error.strerror}")
            return 1
        try:
            say(f"the Context is served at {server.address}")
            sys.stdout.flush()
            _say(f"address and token are in {notice.path}; Ctrl-C ends it")
            if not args.host.startswith(_LOOPBACK):
                _say("other machines may ask it too: token and values go there as they are")
            signal.sigwait(_ENDS)
        finally:
            notice.take_down()
    return 0


def _new() -> "Context":
    from pytest_orchestrator.context.context import Context

    return Context("serve")


def _kept(path: Path) -> "DurableContext":
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.runs import durable_context

    try:
        found = durable_context.open_durable_context(path)
    except (OrchestratorError, OSError) as error:
        raise UsageError(f"--file: {error}") from None
    if found.torn:
        _say(f"{path} ends in the middle of a change, which was never confirmed: it was cut off")
    return found


def _token(path: Path | None) -> str | None:
    """Return the token of a file, which is made where it is not there."""
    if path is None:
        return None
    import os
    import secrets

    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{secrets.token_urlsafe(32)}\n")
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file: {error}") from None
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"--token-file: {path} has no token; one is a word of 16 letters at least")
    return token


def _say(words: str) -> None:
    say(f"pytest-orchestrator serve: {words}", err=True)

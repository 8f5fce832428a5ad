"""Serve a Context to other processes until Ctrl-C.

Clients find address and token in .orchestrator/server.json, which only its owner can read. With
--file every change is kept in a file, and a later start with that file resumes with its state.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError, port
from pytest_orchestrator.cli.project import project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.runs.durable_context import DurableContext

EXAMPLE = "serve --file bench.jsonl"

_ENDS = (signal.SIGINT, signal.SIGTERM)
_LOOPBACK = ("127.", "localhost", "::1")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen at (default: 127.0.0.1, which other machines cannot reach)",
    )
    parser.add_argument("--port", type=port, default=0, help="the port (default: any free one)")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="PATH",
        help="keep every change in this file, and resume from it",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help="read the token from this file, which is created if missing",
    )


def run(args: argparse.Namespace) -> int:
    """Serve the Context until SIGINT or SIGTERM."""
    if not hasattr(signal, "pthread_sigmask"):
        raise UsageError("a Context is served on Linux and macOS, on Windows in WSL")
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, _ENDS
    )  # before any thread starts, so that all inherit it
    try:
        kept = None if args.file is None else _kept(args.file)
        try:
            return _served(_new() if kept is None else kept.context, args)
        finally:
            if kept is not None:
                kept.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _served(context: "Context", args: argparse.Namespace) -> int:
    from pytest_orchestrator.context.rpc.address import FILE, AddressFile, CannotListen, listen_tcp
    from pytest_orchestrator.context.rpc.server import Server

    token = _token(args.token_file)
    try:
        server = Server(context, token=token, listener=listen_tcp(args.host, args.port))
    except CannotListen as error:
        _say(str(error))
        return 1
    with server:
        notice = AddressFile(project().root / FILE, server.address, server.token)
        try:
            notice.write()
        except OSError as error:
            _say(f"{notice.path} cannot be written: {error.strerror}")
            return 1
        try:
            say(f"the Context is served at {server.address}")
            sys.stdout.flush()
            _say(f"address and token are in {notice.path}; Ctrl-C ends it")
            if not args.host.startswith(_LOOPBACK):
                _say("other machines can connect too: token and values are sent unencrypted")
            signal.sigwait(_ENDS)
        finally:
            notice.remove()
    return 0


def _new() -> "Context":
    from pytest_orchestrator.context.context import Context

    return Context("serve")


def _kept(path: Path) -> "DurableContext":
    from pytest_orchestrator.core.errors import OrchestratorError
    from pytest_orchestrator.runs import durable_context

    try:
        found = durable_context.open_durable_context(path)
    except OrchestratorError as error:
        raise UsageError(f"--file: {error}") from None
    except OSError as error:
        raise UsageError(f"--file: {path}: {error.strerror}") from None
    if found.torn:
        _say(f"{path} ends with an incomplete change that was never confirmed: it was removed")
    return found


def _token(path: Path | None) -> str | None:
    """Return the token in a file; create a missing file with a new token."""
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
    except OSError as error:
        raise UsageError(f"--token-file: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--token-file: {error}") from None
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"--token-file: {path} contains no token; a token is a word of at least 16 characters"
        )
    return token


def _say(words: str) -> None:
    say(f"pytest-orchestrator serve: {words}", err=True)

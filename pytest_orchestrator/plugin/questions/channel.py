"""Server of the open questions of a session, for the operator page of a monitor.

The socket, its folder, the address file in the run folder and the thread exist only while a
question is open. So a session whose questions are answered before the run has none of them.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.context.rpc.address import close_listener, listen_unix
from pytest_orchestrator.core.files import is_readable, private_folder, replacing
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.plugin.questions.queue import OpenQuestion, QuestionQueue, WrongAnswer
from pytest_orchestrator.runs.operator.channel import (
    FILE,
    SERVICE,
    Greeting,
    LineReader,
    Look,
    Reply,
    Request,
    ShownQuestion,
    address_text,
    is_own,
)

if TYPE_CHECKING:
    import tempfile

_LOOK: Final = 0.1
"""Seconds after which the thread looks whether a question is still open."""


class QuestionChannel:
    """Socket at which a monitor reads and answers the open questions of a session.

    Args:
        queue: The queue of the questions.
        folder: The folder of the run.
        mask: Function that masks the secrets in a text.
    """

    def __init__(
        self, queue: QuestionQueue, folder: Path, mask: Callable[[str], str] = str
    ) -> None:
        self._queue, self._folder, self._mask = queue, folder, mask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._is_ending = False

    def open(self) -> None:
        """Serve the open questions until none is left; do nothing if they are served.

        Raises:
            OSError: There is no place for the socket or for its address.
        """
        with self._lock:
            if self._listener is not None:
                return
            self._is_ending = False
            self._sockets = private_folder()
            try:
                self._listener = listen_unix(Path(self._sockets.name, "questions"))
                with replacing(self._folder / FILE, 0o600) as file:
                    file.write(address_text(self._listener.getsockname()))
            except OSError:
                self._close()
                raise
            self._thread = threading.Thread(
                target=self._serve, args=(self._listener,), name="orchestrator-channel", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the service and wait for its thread."""
        self._is_ending = True
        with self._lock, contextlib.suppress(OSError):
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)  # it ends the wait of the thread
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            with contextlib.suppress(OSError):  # the client is gone, or sends no request
                if is_readable(listener.fileno(), _LOOK):
                    self._serve_client(listener)
            with self._lock:
                if self._is_ending or not self._queue.open:
                    self._close()
                    return

    def _close(self) -> None:
        """Remove the socket, its folder and the address file."""
        if self._listener is not None:
            close_listener(self._listener)
        if self._sockets is not None:
            self._sockets.cleanup()
        (self._folder / FILE).unlink(missing_ok=True)
        self._listener = self._sockets = None

    def _serve_client(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            if not is_own(client):
                return
            lines = LineReader(client)
            client.sendall(_line(Greeting(SERVICE, self._folder.name)))
            try:
                request = msgspec.json.decode(lines.read(), type=Request)
            except msgspec.MsgspecError as error:
                client.sendall(_line(Reply(refusal=f"no request: {error}")))
                return
            client.sendall(_line(self._reply(request)))

    def _reply(self, request: Request) -> Reply:
        if isinstance(request, Look):
            return Reply(questions=tuple(map(self._shown, self._queue.open)))
        try:
            self._queue.reply(request.nonce, request.lines, request.button, request.who)
        except LookupError as error:
            return Reply(refusal=str(error.args[0]))
        except WrongAnswer as error:
            return Reply(refusal=str(error), problems=error.problems)
        return Reply()

    def _shown(self, question: OpenQuestion) -> ShownQuestion:
        left = None if question.deadline is None else question.deadline - time.monotonic()
        asked = question.asked
        fields = {name: _shown_field(field) for name, field in asked.question.fields.items()}
        message = self._mask(asked.question.message)
        shown = msgspec.structs.replace(asked.question, fields=fields, message=message)
        return ShownQuestion(
            nonce=question.nonce,
            asked=msgspec.structs.replace(asked, question=shown),
            seconds_left=None if left is None else max(0.0, left),
        )


def _shown_field(field: InputField) -> InputField:
    """Return a field without its default if that is secret."""
    if not field.secret or field.default is UNSET or field.default is None:
        return field
    return msgspec.structs.replace(field, default="***")


def _line(message: Any) -> bytes:
    return msgspec.json.encode(message) + b"\n"

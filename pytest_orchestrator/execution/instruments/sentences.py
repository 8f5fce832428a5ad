"""Sentences about errors of PyVISA and its backends, with the cure where one is known.

The backends raise many kinds of exceptions: `VisaIOError` with a code, errors of sockets and serial
ports, and plain exceptions with a text. The cause of an error is often only in its context.
"""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

from pytest_orchestrator.instrument import ErrorKind, InstrumentError

VISA_EXTRA: Final = "pip install 'pytest-orchestrator[visa]'"

CLOSED: Final = "the instrument closed the connection"

_NO_LIBRARY = (
    "no VISA library is installed: install the one of NI, Keysight or Rohde & Schwarz, "
    "or use backend '@py'"
)
_ALIAS = (
    "it is no VISA resource, such as TCPIP::10.0.0.5::INSTR; "
    "only backend '@ivi' knows aliases, those of its VISA library"
)
_RIGHTS: Final = {
    "USB": "a udev rule has to give this user the rights to the USB device",
    "ASRL": "this user has to be in the group of the port, often 'dialout'",
    "GPIB": "this user has to be in the group of the interface, often 'gpib'",
}
_PYTHON_LIBRARIES: Final = {"USB": "pyusb", "ASRL": "pyserial", "GPIB": "gpib-ctypes"}
_NO_LIBUSB = (
    "the library libusb is not installed; install libusb 1.0, or: pip install libusb-package"
)
_NO_DEVICE = "there is no such device; is it on, and is it connected?"
_MOST = 200


def seconds(value: float) -> str:
    """Return a time in seconds as text, such as ``2 s`` or ``0.25 s``."""
    return f"{value:g} s"


def no_pyvisa(name: str) -> InstrumentError:
    """Return the error that PyVISA is not installed."""
    message = f"{name}: PyVISA is not installed; install it with: {VISA_EXTRA}"
    return InstrumentError(message, instrument=name, kind="missing")


def no_backend(name: str, backend: str, error: BaseException) -> InstrumentError:
    """Return the error that a backend cannot be loaded.

    Args:
        name: The name of the instrument.
        backend: The backend, such as ``@py`` or ``/bench/psu.yaml@sim``.
        error: The exception of PyVISA.
    """
    path, _, kind = backend.rpartition("@")
    cause = [*_chain(error)][-1]
    if kind == "sim" and "No package named" not in str(error):
        return InstrumentError(f"{name}: {_simulation(path, cause)}", instrument=name)
    if kind == "ivi":
        reason = _first_line(cause) if path else _NO_LIBRARY
    elif "No package named" in str(error):
        package = {"py": "PyVISA-py", "sim": "PyVISA-sim"}.get(kind, f"pyvisa_{kind}")
        install = VISA_EXTRA if kind == "py" else f"pip install {package.lower()}"
        reason = f"{package} is not installed; install it with: {install}"
        if kind not in ("py", "sim"):
            reason = f"the package {package} is not installed; known are '@py', '@ivi' and FILE@sim"
    else:
        reason = _first_line(cause)
    message = f"{name}: cannot use backend '{backend}': {reason}"
    return InstrumentError(message, instrument=name, kind="missing")


def cannot_open(name: str, resource: str, error: BaseException) -> InstrumentError:
    """Return the error that a resource cannot be opened, with its cause.

    Args:
        name: The name of the instrument.
        resource: The resource, such as ``TCPIP::10.0.0.5::INSTR``.
        error: The exception of PyVISA or of its backend.
    """
    kind: ErrorKind = "closed"
    if reason := _missing_library(resource, error):
        kind = "missing"
    elif _code(error) in ("VI_ERROR_RSRC_BUSY", "VI_ERROR_RSRC_LOCKED"):
        kind, reason = "refused", "another program uses it"
    elif _code(error) == "VI_ERROR_INV_RSRC_NAME":
        reason = _ALIAS
    else:
        reason = _system_reason(resource, error) or _device_reason(error)
    return InstrumentError(f"{name}: cannot open {resource}: {reason}", instrument=name, kind=kind)


def command_failed(name: str, command: str, error: BaseException) -> InstrumentError:
    """Return the error of a command whose exception is not a timeout.

    Args:
        name: The name of the instrument.
        command: The command; empty for a read without one.
        error: The exception of PyVISA or of its backend.
    """
    what = f"'{command}'" if command else "read"
    kind: ErrorKind = "status"
    if isinstance(error, OSError | EOFError) or _code(error) == "VI_ERROR_CONN_LOST":
        kind = "closed"
        reason = _os_text(error) if isinstance(error, OSError) else CLOSED
        message = f"{name}: the connection was lost at {what}: {reason}"
    else:
        message = f"{name}: {what} failed: {_visa_text(error)}"
    return InstrumentError(message, instrument=name, command=command, kind=kind)


def is_timeout(error: BaseException) -> bool:
    """Return True if an exception of PyVISA or of its backend says that the time is over."""
    return isinstance(error, TimeoutError) or _code(error) == "VI_ERROR_TMO"


def _missing_library(resource: str, error: BaseException) -> str:
    """Return the sentence about a library that pyvisa-py needs for a resource, or nothing."""
    if "PyUSB does not seem to be properly installed" in str(error):
        return _NO_LIBUSB
    if "Please install" not in str(error):
        return ""
    bus = _bus(resource)
    library = _PYTHON_LIBRARIES.get(bus)
    cure = f"install it with: pip install {library}" if library else _first_line(error)
    return f"a Python library for {bus} is not installed; {cure}"


def _system_reason(resource: str, error: BaseException) -> str:
    """Return the reason that the operating system or the network gave, or nothing."""
    causes = [one for one in _chain(error) if isinstance(one, OSError)]
    numbers = {one.errno for one in causes}
    if numbers & {errno.EACCES, errno.EPERM}:
        return f"permission denied; {_RIGHTS.get(_bus(resource), 'this user may not use it')}"
    if not numbers & {errno.ECONNREFUSED, errno.ETIMEDOUT} and (host := _unknown_host(resource)):
        return f"the host '{host}' is unknown"
    if isinstance(error, TimeoutError) or "error_timeout" in str(error):  # of pyvisa-py
        return "no answer from the host; is the instrument on, and is its address right?"
    return next((_os_text(one) for one in reversed(causes) if one.errno is not None), "")


def _device_reason(error: BaseException) -> str:
    """Return the reason why a device was not found, or the text of the error."""
    if str(error) == "No device found.":  # of pyvisa-py, which cannot see devices without rights
        return f"{_NO_DEVICE} If it is, {_RIGHTS['USB']}"
    return _NO_DEVICE if _code(error) == "VI_ERROR_RSRC_NFOUND" else _visa_text(error)


def _simulation(path: str, error: BaseException) -> str:
    """Return the sentence about a simulation file that cannot be used."""
    if isinstance(error, OSError):
        return f"cannot read the simulation file {path}: {_os_text(error)}"
    mark: Any = getattr(error, "problem_mark", None)
    if mark is not None:  # an error of PyYAML
        problem = getattr(error, "problem", None) or getattr(error, "context", "")
        return f"{path}:{mark.line + 1}:{mark.column + 1}: {problem}"
    return f"the simulation file {path} has a mistake: {type(error).__name__}: {_first_line(error)}"


def _unknown_host(resource: str) -> str:
    """Return the host of a TCPIP resource if it has no address, else the empty text."""
    parts = resource.split("::")
    if len(parts) < 2 or not parts[0].upper().startswith("TCPIP"):
        return ""
    host = parts[1].partition(",")[0]
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return host
    return ""


def _bus(resource: str) -> str:
    """Return the interface of a resource, such as ``TCPIP`` or ``ASRL``."""
    start = resource.partition("::")[0].upper()
    return next((one for one in ("TCPIP", "ASRL", "GPIB", "USB") if start.startswith(one)), start)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and the exceptions during which it was raised."""
    next_one: BaseException | None = error
    while next_one is not None:
        yield next_one
        next_one = next_one.__cause__ or next_one.__context__


def _code(error: BaseException) -> str:
    """Return the name of the code of a VisaIOError, such as ``VI_ERROR_TMO``, else nothing."""
    return str(getattr(error, "abbreviation", ""))


def _os_text(error: OSError) -> str:
    if error.errno is None:
        return _first_line(error)
    text = error.strerror or _first_line(error)
    if "could not open port" in text:  # pyserial repeats the text of the system
        text = os.strerror(error.errno)
    return text[:1].lower() + text[1:]


def _visa_text(error: BaseException) -> str:
    code = _code(error)
    text = str(getattr(error, "description", "")) or _first_line(error)
    text = text.rstrip(".")
    if code:
        return f"{text[:1].lower()}{text[1:]} ({code})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0][:_MOST]

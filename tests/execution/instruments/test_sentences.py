"""Tests of sentences about errors that need hardware: USB, GPIB, serial ports, LAN devices."""

import errno

import pytest

from pytest_orchestrator.execution.instruments import sentences

USB = "USB0::0x0957::0x0807::SN42::0::INSTR"


class VisaIOError(Exception):
    """Stands for the error of PyVISA, which has a code and a description."""

    def __init__(self, abbreviation: str, description: str) -> None:
        super().__init__(f"{abbreviation} (-1): {description}")
        self.abbreviation, self.description = abbreviation, description


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


NOT_FOUND = VisaIOError("VI_ERROR_RSRC_NFOUND", "Insufficient location information.")


@pytest.mark.parametrize(
    ("resource", "error", "reason", "kind"),
    [
        (
            "TCPIP::127.0.0.1::hislip0::INSTR",
            caused(NOT_FOUND, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")),
            "connection refused",
            "closed",
        ),
        (
            "TCPIP::127.0.0.1::INSTR",
            TimeoutError("socket.timeout: The instrument seems to have stopped responding."),
            "no answer from the host; is the instrument on, and is its address right?",
            "closed",
        ),
        (
            "TCPIP::127.0.0.1::5025::SOCKET",
            Exception("could not connect: StatusCode.error_timeout"),
            "no answer from the host; is the instrument on, and is its address right?",
            "closed",
        ),
        (
            USB,
            PermissionError(errno.EACCES, "Access denied (insufficient permissions)"),
            "permission denied; a udev rule has to give this user the rights to the USB device",
            "closed",
        ),
        (
            "ASRL/dev/ttyUSB0::INSTR",
            OSError(errno.EACCES, "could not open port /dev/ttyUSB0: [Errno 13] Permission denied"),
            "permission denied; this user has to be in the group of the port, often 'dialout'",
            "closed",
        ),
        (
            USB,
            ValueError("Please install PyUSB to use this resource type.\nNo module named 'usb'"),
            "a Python library for USB is not installed; install it with: pip install pyusb",
            "missing",
        ),
        (
            "GPIB0::5::INSTR",
            ValueError("Please install linux-gpib (Linux) or gpib-ctypes\nNo module named 'gpib'"),
            "a Python library for GPIB is not installed; install it with: pip install gpib-ctypes",
            "missing",
        ),
        (
            USB,
            VisaIOError("VI_ERROR_RSRC_NFOUND", "Insufficient location information."),
            "there is no such device; is it on, and is it connected?",
            "closed",
        ),
        (
            USB,
            VisaIOError("VI_ERROR_RSRC_BUSY", "The resource is valid, but cannot be accessed."),
            "another program uses it",
            "refused",
        ),
        (
            USB,
            ValueError("No device found."),
            (
                "there is no such device; is it on, and is it connected? If it is, "
                "a udev rule has to give this user the rights to the USB device"
            ),
            "closed",
        ),
        (
            USB,
            ValueError("PyUSB does not seem to be properly installed.\nPlease refer to the"),
            (
                "the library libusb is not installed; "
                "install libusb 1.0, or: pip install libusb-package"
            ),
            "missing",
        ),
        (USB, KeyError(7), "KeyError: 7", "closed"),
    ],
)
def test_the_cause_of_a_resource_that_cannot_be_opened_is_found(
    resource: str, error: Exception, reason: str, kind: str
) -> None:
    found = sentences.cannot_open("psu", resource, error)

    assert (str(found), found.kind) == (f"psu: cannot open {resource}: {reason}", kind)


@pytest.mark.parametrize(
    ("error", "sentence", "kind"),
    [
        (
            VisaIOError("VI_ERROR_IO", "Could not perform operation because of I/O error."),
            "'VOLT 5' failed: could not perform operation because of I/O error (VI_ERROR_IO)",
            "status",
        ),
        (
            VisaIOError("VI_ERROR_CONN_LOST", "The connection has been lost."),
            "the connection was lost at 'VOLT 5': the instrument closed the connection",
            "closed",
        ),
        (
            EOFError(),
            "the connection was lost at 'VOLT 5': the instrument closed the connection",
            "closed",
        ),
        (
            OSError("device reports readiness to read but returned no data"),
            (
                "the connection was lost at 'VOLT 5': device reports readiness to read but "
                "returned no data"
            ),
            "closed",
        ),
        (NotImplementedError(), "'VOLT 5' failed: NotImplementedError", "status"),
    ],
)
def test_an_error_of_a_command_names_it(error: Exception, sentence: str, kind: str) -> None:
    found = sentences.command_failed("psu", "VOLT 5", error)

    assert (str(found), found.command, found.kind) == (f"psu: {sentence}", "VOLT 5", kind)


@pytest.mark.parametrize(
    ("backend", "install"),
    [
        ("@py", "PyVISA-py is not installed; install it with: {extra}"),
        ("/a.yaml@sim", "PyVISA-sim is not installed; install it with: pip install pyvisa-sim"),
    ],
)
def test_a_missing_backend_is_named_with_the_command_that_installs_it(
    backend: str, install: str
) -> None:
    error = ValueError("Wrapper not found: No package named pyvisa_x")
    error.__cause__ = ModuleNotFoundError("No module named 'pyvisa_x'")
    found = sentences.no_backend("psu", backend, error)
    reason = install.format(extra="pip install 'pytest-orchestrator[visa]'")

    assert str(found) == f"psu: cannot use backend '{backend}': {reason}"
    assert found.kind == "missing"

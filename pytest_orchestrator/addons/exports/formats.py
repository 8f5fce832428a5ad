"""Formats in which a run can be exported: a module each, with two members.

A new format is a module of this package and an entry in `FORMATS`.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from pytest_orchestrator.addons.exports import ExportError
from pytest_orchestrator.addons.exports.network import check_address
from pytest_orchestrator.core.extras import is_installed
from pytest_orchestrator.reading import RunRecord
from pytest_orchestrator.rendering import nearest

FORMATS: Final = {"ctrf": "file", "allure": "folder", "otel": ""}
"""Names of the formats and of their modules, and the kind of their target; empty: an address."""


class Exporter(Protocol):
    """Interface of a module of a format."""

    TITLE: str
    """Name of the format, as messages show it."""

    def export(self, run: RunRecord, folder: Path, target: str) -> str:
        """Export a run.

        Args:
            run: The run.
            folder: Its folder.
            target: A file, a folder or an address, as the format needs it; may be empty for an
                address, which the environment then names.

        Returns:
            One line that says what was written where.

        Raises:
            ExportError: The run cannot be exported.
            OSError: A file cannot be written.
        """


def parsed(wanted: str, base: Path) -> tuple[str, str]:
    """Return the format and the target that ``FORMAT:TARGET`` names, after a check of both.

    Args:
        wanted: ``ctrf:FILE``, ``allure:FOLDER``, ``otel`` or ``otel:ENDPOINT``.
        base: The folder to which paths are relative.

    Raises:
        ExportError: There is no such format, the path is empty, the address is wrong, or an extra
            is not installed.
    """
    name, _, target = wanted.partition(":")
    if name not in FORMATS:
        hint = nearest(name, [*FORMATS])
        raise ExportError(
            f"there is no format '{name}'{hint}; write ctrf:FILE, allure:FOLDER or otel:ENDPOINT"
        )
    if not FORMATS[name]:
        _check(target)
        return name, target
    if not target:
        raise ExportError(f"{name}: the path is empty; name a {FORMATS[name]}")
    return name, str(base / target)


def _check(endpoint: str) -> None:
    """Check that a trace can be sent.

    Raises:
        ExportError: The extra is not installed, or the address is wrong.
    """
    if not is_installed("otel"):
        raise ExportError(
            "otel needs OpenTelemetry: python -m pip install 'pytest-orchestrator[otel]'"
        )
    if endpoint:
        check_address(endpoint)


def export(name: str, run: RunRecord, folder: Path, target: str) -> str:
    """Export a run in one format; import its module first.

    Args:
        name: One of `FORMATS`.
        run: The run.
        folder: Its folder.
        target: As for `Exporter.export`.

    Returns:
        One line that says what was written where.

    Raises:
        ExportError: The run cannot be exported, or a library is not installed.
    """
    exporter = cast("Exporter", import_module(f"{__package__}.{name}"))
    try:
        return exporter.export(run, folder, target)
    except OSError as error:
        raise ExportError(f"{exporter.TITLE}: {target}: {error.strerror or error}") from None
    except ExportError as error:
        raise ExportError(f"{exporter.TITLE}: {error}") from None


def problems(
    run: RunRecord, folder: Path, targets: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Export a run in several formats; yield format and a line for each export that failed.

    Args:
        run: The run.
        folder: Its folder.
        targets: Pairs of format and target.
    """
    for name, target in targets:
        try:
            export(name, run, folder, target)
        except ExportError as error:
            yield name, str(error)

"""Files of pictures."""

from pathlib import Path

from pytest_orchestrator.cli.arguments import UsageError


def write_picture(output: Path, text: str) -> None:
    """Write a picture, as PNG if the name of the file says so.

    Args:
        output: The file.
        text: The picture as SVG, or another text.

    Raises:
        UsageError: The file cannot be written, or there is no browser for a PNG.
    """
    from pytest_orchestrator.reports.pictures.chromium import BrowserError, write_png

    try:
        if output.suffix == ".png":
            write_png(text, output)
        else:
            output.write_text(text, encoding="utf-8")
    except BrowserError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from None

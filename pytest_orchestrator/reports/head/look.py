"""Title and logo of a project for its certificates and pages."""

import base64
from pathlib import Path
from typing import Final, NamedTuple

TITLE: Final = "Test certificate"

_TYPES: Final = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_LARGEST: Final = 2_000_000


class Look(NamedTuple):
    """Title and logo of certificates.

    Attributes:
        title: The title.
        logo: The logo as a ``data:`` URL; empty without one.
    """

    title: str = TITLE
    logo: str = ""


class LookError(ValueError):
    """Error: the logo of certificates cannot be used; the text names its ini key."""


def look_of(root: Path, title: str, logo: str) -> Look:
    """Return the look that the ini keys of a project describe.

    Args:
        root: The rootdir, to which the paths are relative.
        title: Value of `report_title`; may be empty.
        logo: Value of `report_logo`; may be empty.

    Raises:
        LookError: The logo cannot be read, is too large, or is no picture.
    """
    return Look(title.strip() or TITLE, _picture(root, logo.strip()) if logo.strip() else "")


def brand_of(root: Path, title: str, logo: str) -> Look | None:
    """Return the look of `report.html`; None if the project sets none of it.

    Args:
        root: The rootdir, to which the paths are relative.
        title: Value of `report_title`; may be empty.
        logo: Value of `report_logo`; may be empty.

    Raises:
        LookError: The logo cannot be read, is too large, or is no picture.
    """
    if not any(one.strip() for one in (title, logo)):
        return None
    return look_of(root, title, logo)._replace(title=title.strip())


def _picture(root: Path, name: str) -> str:
    kind = _TYPES.get(Path(name).suffix.lower())
    if kind is None:
        known = ", ".join(one.lstrip(".") for one in _TYPES)
        raise LookError(f"ini key report_logo: {name} is no picture; use one of {known}")
    return f"data:{kind};base64,{base64.b64encode(_read(root, name)).decode()}"


def _read(root: Path, name: str) -> bytes:
    key = "ini key report_logo"
    try:
        size = (root / name).stat().st_size
        if size > _LARGEST:
            raise LookError(f"{key}: {name} has {size:,} bytes; the most are {_LARGEST:,}")
        return (root / name).read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise LookError(f"{key}: {name}: {why}; the path is relative to {root}") from None

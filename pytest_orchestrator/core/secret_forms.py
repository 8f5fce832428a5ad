"""The forms in which programs print a value that is secret."""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from pytest_orchestrator.core.secret_stream import MASK

_LEAST = 4
"""Characters of a form that is not the value itself: less is found everywhere by chance."""

_LEAST_LINE = 6

_END = 4
"""Characters of the beginning or the end of a form that are not there by chance."""

_LEAST_HEX = 8
"""The same of hexadecimal digits: a number of fewer may be anything."""

_SAFE: Final = ("/", "", "!*'()", "!*()", "!#$&'()*+,/:;=?@")
"""Characters that libraries leave as they are in a URL: Python, JavaScript (a component, a whole
address) and .NET.
"""

_QUOTES: Final = (
    ('"', "'"),
    ("&quot;", "&#x27;"),
    ("&quot;", "&#39;"),
    ("&quot;", "&apos;"),
    ("&quot;", "'"),
    ("&#34;", "&#39;"),
)
"""How writers of HTML and XML have the two quotes: only in attributes they need to be escaped."""

_BLANKS: Final = {code: f"&#{code};" for code in (9, 10, 13)}
"""How XML has what would be a blank in an attribute."""

_ESCAPED: Final = re.compile("%[0-9A-F]{2}")
_CUT = re.compile(r"\n?(?:\.\.\.|…)\n?")


def forms_of(secret: str) -> list[str]:
    """Return all texts that tell a secret.

    Args:
        secret: The value, not blank.

    Returns:
        The value; it and each of its longer lines in base64 (whatever stands before and
        after it there), in hexadecimal, in a URL, in HTML and XML, in JSON, as Python and a
        shell quote it. Without duplicates.
    """
    forms = dict.fromkeys([secret, secret.strip()])
    for text in [*forms, *_lines(secret)]:
        found = dict.fromkeys([text, *_quoted(text), *_in_a_url(text), *_in_markup(text)])
        found |= dict.fromkeys(_in_base64(text))
        forms |= {form: None for form in found if len(form) >= _LEAST}
        forms |= {form: None for form in _in_hex(text) if len(form) >= _LEAST_HEX}
    return list(forms)


def ends_masked(text: str, forms: Iterable[str]) -> str:
    """Mask what is left of a form where a text was cut in the middle of it.

    Args:
        text: What may have been cut, with an ellipsis in the place of what is left out.
        forms: The forms of all secrets.
    """
    long = [form for form in forms if len(form) >= 2 * _END]
    heads = [form for form in long if form[:_END] in text]
    tails = [form for form in long if form[-_END:] in text]
    pieces, at = [], 0
    for cut in _CUT.finditer(text) if heads or tails else ():
        start = min((_head(text, form, cut.start()) for form in heads), default=cut.start())
        end = max((_tail(text, form, cut.end()) for form in tails), default=cut.end())
        if start < cut.start():
            pieces += [text[at : max(at, start)], MASK]
            at = cut.start()
        if end > cut.end():
            pieces += [text[at : cut.end()], MASK]
            at = end
    return "".join([*pieces, text[at:]])


def _head(text: str, form: str, end: int) -> int:
    """Return where the beginning of a form begins that goes on to an end; the end if none does."""
    at = text.find(form[:_END], max(0, end - len(form) + 1), end)
    while at >= 0 and not form.startswith(text[at:end]):
        at = text.find(form[:_END], at + 1, end)
    return end if at < 0 else at


def _tail(text: str, form: str, start: int) -> int:
    """Return where the end of a form ends that comes at a start; the start if none does."""
    at = text.rfind(form[-_END:], start, start + len(form) - 1)
    while at >= 0 and not form.endswith(text[start : at + _END]):
        at = text.rfind(form[-_END:], start, at + _END - 1)
    return start if at < 0 else at + _END


def _lines(secret: str) -> Iterator[str]:
    """Return the lines of a key or a certificate: reports indent them, and show some alone."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LEAST_LINE)


def _quoted(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    for shown in (repr, ascii):
        yield shown(text)[1:-1]
        yield shown(f'"{text}')[2:-1]  # beside a quote, Python escapes the others
    raw = text.encode(errors="surrogateescape")
    yield raw.decode(errors="backslashreplace")
    yield raw.decode("ascii", errors="backslashreplace")
    yield repr(raw)[2:-1]
    yield shlex.quote(text).removeprefix("'").removesuffix("'")


def _in_a_url(text: str) -> Iterator[str]:
    raw = text.encode(errors="surrogateescape")
    for safe in _SAFE:
        upper = quote(raw, safe=safe)
        for form in (upper, upper.replace("%20", "+")):
            yield form
            yield _ESCAPED.sub(lambda found: found[0].lower(), form)


def _in_markup(text: str) -> Iterator[str]:
    opened = text.replace("&", "&amp;").replace("<", "&lt;")
    for found in dict.fromkeys((opened.replace(">", "&gt;"), opened)):  # XML asks for no `&gt;`
        for double, single in _QUOTES:
            form = found.replace('"', double).replace("'", single)
            for each in (form, form.translate(_BLANKS)):
                yield each
                yield each.encode("ascii", "xmlcharrefreplace").decode()


def _in_hex(text: str) -> Iterator[str]:
    form = text.encode(errors="surrogateescape").hex()
    yield form
    yield form.upper()


def _in_base64(text: str) -> Iterator[str]:
    """Return what of a base64 text is the same whatever stands around a value in it."""
    raw = text.encode(errors="surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):
            # Six bits a character: those that only the value's own bits make.
            first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
            yield encode(bytes(before) + raw).decode()[first:last]

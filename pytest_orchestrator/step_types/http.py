"""Step type `http`: one HTTP request, by httpx.

This module uses only the interface for plugins, so a copy of it in a plugin works as well.
"""

import base64
import contextlib
import importlib.util
import json
import re
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, Struct

from pytest_orchestrator.extending import (
    Criterion,
    Evidence,
    KeyProblem,
    Project,
    StepEnvironment,
    StepFailure,
    StepSpec,
    StepType,
    Unevaluated,
    WrittenStep,
    parse_json,
)

if TYPE_CHECKING:
    import httpx

_MOST = 16 * 1024 * 1024
"""Size of the largest body that is read, in bytes."""

_LEAST = 6
"""Minimum length of a value that is secret because of its name alone."""

_SECRET_NAME = re.compile(
    r"token|secret|passw|credential|session|signature|cookie|api[-_]?key|authorization",
    re.IGNORECASE,
)
"""Pattern for the names of headers and fields whose values are secret."""

_HARMLESS = ("accept", "content-", "user-agent")
"""How the names of headers begin that another host gets too, when a redirect leads there."""

_INSTALL = "python -m pip install 'pytest-orchestrator[http]'"

Plain = str | int | float | bool
Code = Annotated[int, Meta(ge=100, le=599)] | Literal["1xx", "2xx", "3xx", "4xx", "5xx"]


def _check_code(wanted: Any, evidence: Evidence) -> str | None:
    """Return a sentence if the code of an answer is none of the wanted ones; else None."""
    accepted = wanted if isinstance(wanted, list) else [wanted]
    code, headers = evidence.result["code"], evidence.result["headers"]
    if code in accepted or f"{code // 100}xx" in accepted:
        return None
    shown = " or ".join(map(str, accepted))
    leads = f"; it leads to {headers['location']}" if "location" in headers else ""
    return f"the server answered {code}{_phrase(code)}, expected {shown}{leads}"


def _phrase(code: int) -> str:
    from http import HTTPStatus

    try:
        return f" {HTTPStatus(code).phrase}"
    except ValueError:
        return ""


class HttpKeys(Struct):
    """Keys of a step of type `http`."""

    url: Annotated[
        str,
        Meta(
            description="The address.",
            examples=["http://127.0.0.1:8080/state"],
            pattern="^https?://[^ ]+$",
            extra={"expected": "an address such as http://host/path"},
        ),
    ]
    method: Annotated[
        str,
        Meta(
            description="The method. The default is `POST` for a request with a body, else `GET`.",
            examples=["PUT"],
            pattern="^[A-Za-z]+$",
            extra={"expected": "a method such as PUT"},
        ),
    ] = ""
    headers: Annotated[
        dict[str, str | int | float],
        Meta(description="Headers by name.", examples=[{"Accept": "text/csv"}]),
    ] = {}
    query: Annotated[
        dict[str, Plain | list[Plain]],
        Meta(
            description="Parameters of the address; a list repeats its parameter.",
            examples=[{"channel": 1}],
        ),
    ] = {}
    json: Annotated[
        Any, Meta(description="A value that is sent as JSON.", examples=[{"volts": 5}])
    ] = None
    data: Annotated[
        str | dict[str, Plain | list[Plain]] | None,
        Meta(
            description="The body: a text that is sent as it is, or the fields of a form.",
            examples=[{"volts": 5}],
        ),
    ] = None
    files: Annotated[
        dict[str, str],
        Meta(
            description="Files that are sent as parts of a form, each with the name of its field.",
            examples=[{"report": "out/report.csv"}],
        ),
    ] = {}
    auth: Annotated[
        dict[str, str],
        Meta(
            description="The credentials: `user` and `password`, or a bearer `token`.",
            examples=[{"user": "bench", "password": "${{ env.STATION_PASSWORD }}"}],
        ),
    ] = {}
    verify: Annotated[
        bool | str,
        Meta(
            description="A file with the certificates of the authorities that are trusted. "
            "`false`: any certificate of a server is accepted.",
            examples=["station-ca.pem"],
        ),
    ] = True
    follow_redirects: Annotated[
        bool, Meta(description="`true`: a redirect is followed.", examples=[True])
    ] = False


class Http(StepType):
    """Send an HTTP request; the result has `code`, `headers`, `body` and `seconds`."""

    name = "http"
    Keys = HttpKeys
    imports = ("httpx", "httpcore")
    background = False
    criteria = (
        Criterion(
            name="code",
            type=Code | Annotated[list[Code], Meta(min_length=1)],
            description="The code of the answer, `2xx` for any of a class, or a list of these. "
            "The default is `2xx`.",
            example=201,
            check=_check_code,
            default="2xx",
        ),
    )

    @classmethod
    def check(cls, step: WrittenStep, project: Project) -> Iterator[KeyProblem]:
        """Check that httpx is installed and that the keys do not contradict each other."""
        keys = step.keys
        if importlib.util.find_spec("httpx") is None and "http" not in project.extras:
            yield KeyProblem(("type",), f"is {cls.name}, which needs httpx", _INSTALL)
        bodies = [name for name in ("json", "data") if (name,) in step.places]
        if len(bodies) == 2:
            yield KeyProblem(("data",), "stands beside 'json'", "a request has one body")
        if "json" in bodies and keys["json"] is None:
            yield KeyProblem(("json",), "is null, which sends no body", "write data: 'null'")
        if ("files",) in step.places and "json" in bodies:
            yield KeyProblem(("files",), "stands beside 'json'", "send the values by 'data'")
        if ("files",) in step.places and isinstance(keys["data"], str):
            yield KeyProblem(("data",), "is a text beside 'files', should be a mapping")
        yield from _problems_of_auth(step)

    @classmethod
    def secrets(cls, step: StepSpec) -> Iterator[Any]:
        """Return credentials, cookies and values whose names say that they are secret."""
        keys = step.keys
        yield from _named_secrets(keys["headers"])
        yield from _secrets_of_auth(keys["auth"])
        if isinstance(keys["url"], str):
            yield from _secrets_of_url(keys["url"])
        for name in ("query", "json", "data"):
            yield from _secret_fields(keys[name])

    def run(self, keys: HttpKeys, ctx: Any, env: StepEnvironment) -> Mapping[str, Any]:  # noqa: ARG002
        """Send the request and read the answer."""
        import httpx

        has_body = keys.json is not None or keys.data is not None or keys.files
        method = keys.method.upper() or ("POST" if has_body else "GET")
        started = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                client = stack.enter_context(_client(keys, env))
                url = httpx.URL(keys.url).copy_merge_params(keys.query)
                answer = stack.enter_context(client.stream(method, url, **_content(keys)))
                raw = _read(answer)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise StepFailure(f"{method} {keys.url}: {error}", "validation") from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise StepFailure(f"{method} {keys.url}: {error}", "protocol") from None
        except (httpx.HTTPError, OSError) as error:
            text = str(error) or type(error).__name__
            raise StepFailure(f"{method} {keys.url}: {text}{_cure(text)}") from None
        seconds = round(time.monotonic() - started, 6)
        body, wrong = _body(answer, raw)
        secrets = [
            value
            for value in (
                *(cookie.value for cookie in client.cookies.jar),
                *_secret_fields(body),
            )
            if isinstance(value, str) and len(value) >= _LEAST
        ]
        env.mask(secrets)
        shown = raw.decode(answer.encoding or "utf-8", "replace")
        for secret in secrets:
            shown = shown.replace(secret, "***")
        print(shown)  # noqa: T201 - the output of the step
        if wrong:
            said = f"the server answered {answer.status_code}{_phrase(answer.status_code)}"
            raise StepFailure(f"{said}, and its body is no JSON: {wrong}", "protocol")
        return {
            "status": "ok",
            "code": answer.status_code,
            "headers": dict(answer.headers),
            "body": body,
            "seconds": seconds,
        }


def _problems_of_auth(step: WrittenStep) -> Iterator[KeyProblem]:
    auth = step.keys["auth"]
    if (
        not isinstance(auth, Unevaluated)
        and auth
        and set(auth) not in ({"user", "password"}, {"token"})
    ):
        yield KeyProblem(
            ("auth",), f"has {', '.join(auth)}", "write user and password, or token alone"
        )
    headers = step.keys["headers"]
    if auth and isinstance(headers, Mapping):
        for name in headers:
            if name.lower() == "authorization":
                yield KeyProblem(("headers", name), "stands beside 'auth'", "give one of them")


def _named_secrets(headers: Any) -> Iterator[Any]:
    """Yield the values of headers with secret names, and the credentials in them."""
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if not _SECRET_NAME.search(name) or not isinstance(value, str):
            continue
        scheme, _, rest = value.partition(" ")
        is_authorization = "authorization" in name.lower()
        if is_authorization or len(value) >= _LEAST:  # a mask of each `1` destroys an output
            yield value
        if is_authorization and rest:
            yield rest.strip()
            if scheme.lower() == "basic":
                with contextlib.suppress(ValueError):
                    yield base64.b64decode(rest).decode().partition(":")[2]
        if "cookie" in name.lower():
            cookies = (each.partition("=")[2].strip() for each in value.split(";"))
            yield from (each for each in cookies if len(each) >= _LEAST)


def _secrets_of_auth(auth: Any) -> Iterator[Any]:
    if not isinstance(auth, Mapping):
        return
    yield from (auth[name] for name in ("password", "token") if name in auth)
    user, password = auth.get("user"), auth.get("password")
    if isinstance(user, str) and isinstance(password, str):
        yield base64.b64encode(f"{user}:{password}".encode()).decode()


def _secrets_of_url(url: str) -> Iterator[str]:
    """Yield the user-info of an address, and its parameters with secret names."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    info = parts.netloc.rpartition("@")[0]
    if info:
        user, _, password = info.partition(":")
        yield info
        yield unquote(password) or unquote(user)
        yield base64.b64encode(unquote(info).encode()).decode()
    for pair in f"{parts.query}&{parts.fragment}".split("&"):
        name, _, value = pair.partition("=")
        if _SECRET_NAME.search(name) and len(value) >= _LEAST:
            yield unquote(value)


def _secret_fields(value: Any) -> Iterator[Any]:
    """Yield the texts in a JSON value whose keys have secret names."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, str) and _SECRET_NAME.search(name) and len(each) >= _LEAST:
                yield each
            else:
                yield from _secret_fields(each)
    elif isinstance(value, list):
        for each in value:
            yield from _secret_fields(each)


def _secrets_of_answer(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets in the headers of an answer: in addresses, and those of secret names."""
    # A cookie is masked alone, so that its path and its other attributes stay legible.
    yield from _secret_fields({name: headers[name] for name in headers if name != "set-cookie"})
    for value in headers.values():
        for word in re.split(r'[\s<>"]+', value):
            yield from _secrets_of_url(word.rstrip(",;"))


def _client(keys: HttpKeys, env: StepEnvironment) -> "httpx.Client":
    import httpx

    origin = httpx.URL(keys.url)

    def guard(request: httpx.Request) -> None:
        url = request.url
        is_same = (url.scheme, url.port) in ((origin.scheme, origin.port), ("https", origin.port))
        if is_same and url.host == origin.host:
            return
        for name in keys.headers:  # any of them may hold a secret, under whatever name
            if not name.lower().startswith(_HARMLESS):
                request.headers.pop(name, None)
        if "content-length" in request.headers and any(_secret_fields([keys.json, keys.data])):
            there = f"{url.scheme}://{url.host}"
            raise StepFailure(f"the redirect to {there} would send a secret of the body there")

    def log(answer: httpx.Response) -> None:
        request = answer.request
        env.mask([*_secrets_of_answer(answer.headers)])
        env.log.info("%s %s: %s", request.method, request.url, answer.status_code)

    headers = {name: str(value) for name, value in keys.headers.items()}
    if "token" in keys.auth:
        headers["Authorization"] = f"Bearer {keys.auth['token']}"
    basic = (keys.auth["user"], keys.auth["password"]) if "user" in keys.auth else None
    return httpx.Client(
        auth=basic,
        headers=headers,
        verify=_trust(keys.verify),
        follow_redirects=keys.follow_redirects,
        timeout=None,  # noqa: S113 - the step is ended at its timeout
        event_hooks={"request": [guard], "response": [log]},
    )


def _trust(verify: bool | str) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    try:
        if Path(verify).is_dir():
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)
    except FileNotFoundError:
        raise StepFailure(f"verify: no file '{verify}'", "not_found") from None
    except ssl.SSLError:
        wrong = f"verify: '{verify}' has no certificates in PEM form"
        raise StepFailure(wrong, "validation") from None


def _content(keys: HttpKeys) -> dict[str, Any]:
    """Return the arguments of httpx for the body."""
    content: dict[str, Any] = {}
    if keys.json is not None:
        content["json"] = keys.json
    if keys.data is not None:
        content["content" if isinstance(keys.data, str) else "data"] = keys.data
    files = {}
    for field, path in keys.files.items():
        try:
            files[field] = (Path(path).name, Path(path).read_bytes())
        except FileNotFoundError:
            raise StepFailure(f"files.{field}: no file '{path}'", "not_found") from None
    return content | ({"files": files} if files else {})


def _read(answer: "httpx.Response") -> bytes:
    """Read the body of an answer, as far as the limit allows.

    Raises:
        StepFailure: The body is larger, or its compressed form is damaged.
    """
    chunks, size = [], 0
    for chunk in _decompressed(answer):
        size += len(chunk)
        if size > _MOST:
            raise StepFailure(f"the body of the answer is above {_MOST >> 20} MiB", "protocol")
        chunks.append(chunk)
    return b"".join(chunks)


def _decompressed(answer: "httpx.Response") -> Iterator[bytes]:
    """Yield the pieces of a body; httpx accepts a compressed body of which the end is missing."""
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("gzip", "x-gzip", "deflate"):
        yield from answer.iter_bytes()
        return
    member = None
    try:
        for raw in answer.iter_raw():
            while raw:
                if member is None or member.eof:
                    # A body of `deflate` may lack the header of zlib, whose low bits are 8.
                    bare = encoding == "deflate" and raw[0] & 15 != 8
                    member = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
                yield member.decompress(raw, _MOST)
                raw = member.unconsumed_tail or member.unused_data  # noqa: PLW2901
    except zlib.error as error:
        wrong = f"the body of the answer is no {encoding}: {error}"
        raise StepFailure(wrong, "protocol") from None
    if member is not None and not member.eof:
        raise StepFailure(f"the body of the answer is cut off within its {encoding}", "protocol")


def _body(answer: "httpx.Response", raw: bytes) -> tuple[Any, str]:
    """Return a body as JSON if its header says so and it is strict JSON; else as text.

    Returns:
        The body; and why it is no JSON although its header says so, else an empty text.
    """
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    wrong = ""
    if raw and (kind == "application/json" or kind.endswith("+json")):
        try:
            body = parse_json(raw)
            json.loads(raw, object_pairs_hook=_check_names)
            return body, ""  # noqa: TRY300
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            wrong = str(error)
    return raw.decode(answer.encoding or "utf-8", "replace"), wrong


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len({*names}) < len(names):  # most objects are checked by this alone
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key {twice!r}")


def _cure(text: str) -> str:
    return " (verify: FILE names the authority to trust)" if "CERTIFICATE" in text else ""

"""Artifacts: copies of a step's files in the run folder; masking of logs after a step.

An artifact that cannot be copied causes a warning and does not fail the step. Only regular files
are copied; a link is followed unless it leads out of the rootdir. A file in the folder of runs is
copied only if a glob is its path, so that ``**`` does not copy the run folder into itself.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.files import is_utf8, path_text, replacing
from pytest_orchestrator.core.result import MOST_PREVIEWED, Artifact, CopiedArtifacts
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.file_names import missing, named
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.resolve import evaluate_step
from pytest_orchestrator.recipe.model.step import Step

_CHUNK = 1 << 20
_UNKNOWN_TYPE = "application/octet-stream"


NOTHING = CopiedArtifacts()


Collect = Callable[[Sequence[object], AttemptContext], CopiedArtifacts]
"""Function that copies the files that globs match into the run folder."""


def wants_artifacts(step: Step) -> bool:
    """Return True if a step declares artifacts."""
    return bool(step.artifacts) or any(one.path[0] == "artifacts" for one in step.templates)


def copy_artifacts(
    step: Step, attempt: AttemptContext, names: Callable[[], Mapping[str, Any]], collect: Collect
) -> CopiedArtifacts:
    """Copy the artifacts that a step declares into the run folder.

    Args:
        step: The step, which has ended.
        attempt: The context of the attempt, with the folder and the size limit of artifacts.
        names: Returns the variables of expressions after the step code.
        collect: Copies files from the machine that ran the step.
    """
    if attempt.artifacts is None or not wants_artifacts(step):
        return NOTHING
    own = tuple(one for one in step.templates if one.path[0] == "artifacts")
    try:
        late = evaluate_step(msgspec.structs.replace(step, templates=own), names(), late=True)
    except ExpressionError as error:
        return CopiedArtifacts(warnings=(f"artifacts: {error}",))
    copies = collect(late.artifacts, attempt)
    artifacts = tuple(_with_secret(one, attempt.config.secrets) for one in copies.artifacts)
    return msgspec.structs.replace(copies, artifacts=artifacts)


def _with_secret(artifact: Artifact, secrets: Masker) -> Artifact:
    """Return an artifact with `has_secret` if the page would show a secret in its preview."""
    if artifact.bytes > MOST_PREVIEWED or secrets.stream() is None:
        return artifact
    try:
        data = Path(artifact.path).read_bytes()
    except OSError:
        return artifact
    if secrets.data(data) == data:
        return artifact
    return msgspec.structs.replace(artifact, has_secret=True)


def collected(patterns: Sequence[object], attempt: AttemptContext) -> CopiedArtifacts:
    """Copy the files on this machine that match globs into the run folder.

    Args:
        patterns: The globs; a value that is no glob becomes a warning.
        attempt: The context of the attempt.
    """
    if attempt.artifacts is None:
        return NOTHING
    collector = _Collector(attempt, attempt.artifacts)
    for pattern in patterns:
        collector.collect(pattern)
    return CopiedArtifacts(tuple(collector.copies.values()), tuple(collector.warnings))


class _Collector:
    """Copier of the files that the globs of one step match.

    Attributes:
        copies: The copies, by the real paths of the files.
        warnings: The files that were left out, with the reasons.
    """

    def __init__(self, attempt: AttemptContext, into: Path) -> None:
        self.copies: dict[str, Artifact] = {}
        self.warnings: list[str] = []
        self._root = attempt.config.root
        self._real_root = os.path.realpath(attempt.config.root)
        self._max_bytes = attempt.config.max_artifact
        self._into = into
        self._runs = os.path.realpath(
            attempt.config.folder.parent if attempt.config.folder else into
        )
        self._names: set[str] = set()

    def collect(self, pattern: object) -> None:
        """Copy the files that one glob matches; add a warning for each file that is left out."""
        if not isinstance(pattern, str) or not pattern.strip():
            self._warn("a glob is a text that says something", str(pattern))
            return
        names = sorted(named(pattern, self._root))
        if not names:
            self.warnings.append(f"artifacts: {missing(pattern, self._root)}")
        for name in names:
            whole = os.path.join(self._root, name)
            for path in _files(whole):
                self._copy(path, is_named=name == pattern and path == whole)

    def _copy(self, path: str, *, is_named: bool) -> None:
        real = os.path.realpath(path)
        inside = os.path.relpath(os.path.abspath(path), self._root)
        is_outside = inside.startswith(os.pardir)
        is_of_run = _is_below(real, self._runs)
        if real in self.copies or (is_of_run and not is_named):
            return
        if os.path.islink(path) if is_outside else not _is_below(real, self._real_root):
            self._warn("is a link that leads out of the rootdir", path)
            return
        try:
            status = os.stat(real)
            if not stat.S_ISREG(status.st_mode):
                self._warn("is no regular file", path)
            elif status.st_size > self._max_bytes:
                size, limit = f"{status.st_size:,}", f"{self._max_bytes:,}"
                self._warn(f"has {size} bytes, and recipe_max_artifact is {limit}", path)
            else:
                name = os.path.basename(path) if is_outside or is_of_run else inside
                # Reports and archives need UTF-8 names, and each copy a name of its own.
                name = self._unused_name(name if is_utf8(name) else path_text(name))
                self._names.add(name)
                self.copies[real] = self._copied(real, status, self._into / name)
        except OSError as error:
            self._warn(f"cannot be copied: {error.strerror}", path)

    def _copied(self, real: str, status: os.stat_result, to: Path) -> Artifact:
        import mimetypes

        to.parent.mkdir(parents=True, exist_ok=True)
        _write(real, to, status.st_size)
        os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))
        kind = mimetypes.guess_type(to.name)[0] or _UNKNOWN_TYPE
        return Artifact(path=str(to), type=kind, bytes=to.stat().st_size)

    def _unused_name(self, name: str) -> str:
        """Return a file name that no other copy has, with a number added if necessary."""
        stem, suffix = os.path.splitext(name)
        number = 1
        while name in self._names:
            number += 1
            name = f"{stem}.{number}{suffix}"
        return name

    def _warn(self, reason: str, path: str) -> None:
        shown = os.path.relpath(path, self._root) if os.path.isabs(path) else path
        self.warnings.append(
            f"artifacts: {path_text(path if shown.startswith(os.pardir) else shown)} {reason}; "
            "it is left out"
        )


def _files(path: str) -> Iterator[str]:
    """Yield a file, or all files below a folder; links to folders are not followed."""
    if not os.path.isdir(path) or os.path.islink(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(files))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _write(real: str, to: Path, size: int) -> None:
    """Copy at most ``size`` bytes of a file, because the file may grow while it is copied."""
    with open(real, "rb") as source, to.open("wb") as copy:
        while size > 0 and (chunk := source.read(min(size, _CHUNK))):
            copy.write(chunk)
            size -= len(chunk)


@contextlib.contextmanager
def masked_afterwards(step: Step, attempt: AttemptContext) -> Iterator[None]:
    """Mask the logs of a service after a ``with`` block if secrets were added during the block."""
    before = attempt.config.secrets.forms
    try:
        yield
    finally:
        if attempt.config.secrets.forms is not before:
            mask_logs(step, attempt)


def mask_logs(step: Step, attempt: AttemptContext) -> None:
    """Mask the secrets that are known now in the logs of all attempts of a step.

    Args:
        step: The step.
        attempt: The context of its last attempt.
    """
    for number in range(1, attempt.number + 1):
        for stream in ("stdout", "stderr", "log"):
            path = attempt.log(step.name, stream, number)
            if path is not None and os.path.exists(path):
                _mask(path, attempt.config.secrets)


def _mask(path: str, secrets: Masker) -> None:
    stream = secrets.stream()
    if stream is None:
        return
    try:
        with open(path, "rb") as log, replacing(path) as masked:
            while chunk := log.read(_CHUNK):
                masked.write(stream.feed(chunk))
            masked.write(stream.end())
    except OSError:  # a missing log is better than one that shows a secret
        if os.path.exists(path):
            os.truncate(path, 0)
            os.unlink(path)

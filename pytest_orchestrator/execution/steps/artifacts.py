"""Artifacts: files of a step copied into the run folder, logs masked afterwards.

Nothing here fails a step: what cannot be copied is told. Only regular files are copied; a
link is followed as long as it does not lead out of the rootdir.
"""

import contextlib
import mimetypes
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_orchestrator.core.files import is_utf8, path_text
from pytest_orchestrator.core.result import Artifact
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.criteria.files import missing, named
from pytest_orchestrator.execution.environment import Environment
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.resolve import resolved
from pytest_orchestrator.recipe.model.step import Step

_PIECE = 1 << 20
_UNKNOWN = "application/octet-stream"


class CopiedArtifacts(msgspec.Struct, frozen=True):
    """What was copied.

    Attributes:
        artifacts: The copies.
        warnings: What was left out, and why.
    """

    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()


NOTHING = CopiedArtifacts()


Collect = Callable[[Sequence[object], Environment], CopiedArtifacts]
"""Copies the files that globs match into the folder of the run."""


def wants_artifacts(step: Step) -> bool:
    """Tell whether files of a step are to be copied."""
    return bool(step.artifacts) or any(one.path[0] == "artifacts" for one in step.templates)


def copy_artifacts(
    step: Step, env: Environment, names: Callable[[], Mapping[str, Any]], collect: Collect
) -> CopiedArtifacts:
    """Copy the files that a step names.

    Args:
        step: The step, which has ended.
        env: The surroundings of the run; it says where the copies go, and how large they may be.
        names: Tells what the names of expressions mean after the body.
        collect: Copies them, from where they are.
    """
    if env.artifacts is None or not wants_artifacts(step):
        return NOTHING
    own = tuple(one for one in step.templates if one.path[0] == "artifacts")
    try:
        late = resolved(msgspec.structs.replace(step, templates=own), names(), late=True)
    except ExpressionError as error:
        return CopiedArtifacts(warnings=(f"artifacts: {error}",))
    return collect(late.artifacts, env)


def collected(patterns: Sequence[object], env: Environment) -> CopiedArtifacts:
    """Copy the files of this machine that globs match.

    Args:
        patterns: The globs; what is none is told.
        env: The surroundings of the run.
    """
    if env.artifacts is None:
        return NOTHING
    collector = _Collector(env, env.artifacts)
    for pattern in patterns:
        collector.collect(pattern)
    return CopiedArtifacts(tuple(collector.found.values()), tuple(collector.warnings))


class _Collector:
    """Copies what the globs of one step match.

    Attributes:
        found: The copies, by the real paths of the files.
        warnings: What was left out, and why.
    """

    def __init__(self, env: Environment, into: Path) -> None:
        self.found: dict[str, Artifact] = {}
        self.warnings: list[str] = []
        self._root = env.root
        self._real_root = os.path.realpath(env.root)
        self._most = env.max_artifact
        self._into = into
        self._runs = os.path.realpath(env.folder.parent if env.folder else into)
        self._taken: set[str] = set()

    def collect(self, pattern: object) -> None:
        """Copy what one glob matches."""
        if not isinstance(pattern, str) or not pattern.strip():
            self._warn("a glob is a text that says something", str(pattern))
            return
        names = sorted(named(pattern, self._root))
        if not names:
            self.warnings.append(f"artifacts: {missing(pattern, self._root)}")
        for name in names:
            for path in _files(os.path.join(self._root, name)):
                self._copy(path)

    def _copy(self, path: str) -> None:
        real = os.path.realpath(path)
        inside = os.path.relpath(os.path.abspath(path), self._root)
        is_outside = inside.startswith(os.pardir)
        if real in self.found or _is_below(real, self._runs):
            return
        if os.path.islink(path) if is_outside else not _is_below(real, self._real_root):
            self._warn("is a link that leads out of the rootdir", path)
            return
        try:
            seen = os.stat(real)
            if not stat.S_ISREG(seen.st_mode):
                self._warn("is no regular file", path)
            elif seen.st_size > self._most:
                words = f"has {seen.st_size:,} bytes, and recipe_max_artifact is {self._most:,}"
                self._warn(words, path)
            else:
                name = os.path.basename(path) if is_outside else inside
                # The copy has a name that reports and archives can have, and no other copy has.
                name = self._free(name if is_utf8(name) else path_text(name))
                self._taken.add(name)
                self.found[real] = self._copied(real, seen, self._into / name)
        except OSError as error:
            self._warn(f"cannot be copied: {error.strerror}", path)

    def _copied(self, real: str, seen: os.stat_result, to: Path) -> Artifact:
        to.parent.mkdir(parents=True, exist_ok=True)
        _write(real, to, seen.st_size)
        os.utime(to, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        kind = mimetypes.guess_type(to.name)[0] or _UNKNOWN
        return Artifact(path=str(to), type=kind, bytes=to.stat().st_size)

    def _free(self, name: str) -> str:
        """Return a name that no other copy has: of files from outside, or that is not UTF-8."""
        stem, suffix = os.path.splitext(name)
        number = 1
        while name in self._taken:
            number += 1
            name = f"{stem}.{number}{suffix}"
        return name

    def _warn(self, why: str, path: str) -> None:
        shown = os.path.relpath(path, self._root) if os.path.isabs(path) else path
        self.warnings.append(
            f"artifacts: {path_text(path if shown.startswith(os.pardir) else shown)} {why}; "
            "it is left out"
        )


def _files(path: str) -> Iterator[str]:
    """Return a file, or all files below a folder; linked folders are not gone into."""
    if not os.path.isdir(path) or os.path.islink(path):
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(files))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _write(real: str, to: Path, size: int) -> None:
    """Copy so many bytes: a file that grows has no end."""
    with open(real, "rb") as source, to.open("wb") as copy:
        while size > 0 and (piece := source.read(min(size, _PIECE))):
            copy.write(piece)
            size -= len(piece)


@contextlib.contextmanager
def masked_afterwards(step: Step, env: Environment) -> Iterator[None]:
    """Mask what a service has logged where more is secret at its end than at its start."""
    known = env.secrets.forms
    try:
        yield
    finally:
        if env.secrets.forms is not known:
            mask_logs(step, env)


def mask_logs(step: Step, env: Environment) -> None:
    """Mask the logs of all tries of a step by what is secret now.

    Args:
        step: The step.
        env: The surroundings of its last try.
    """
    for attempt in range(1, env.attempt + 1):
        tried = msgspec.structs.replace(env, attempt=attempt)
        for stream in ("stdout", "stderr", "log"):
            path = tried.log(step.name, stream)
            if path is not None and os.path.exists(path):
                _mask(path, env.secrets)


def _mask(path: str, secrets: Masker) -> None:
    stream, fresh = secrets.stream(), f"{path}.masked"
    if stream is None:
        return
    try:
        with open(path, "rb") as log, open(fresh, "wb") as masked:
            while piece := log.read(_PIECE):
                masked.write(stream.feed(piece))
            masked.write(stream.end())
        os.replace(fresh, path)
    except OSError:  # rather no log than one that tells a secret
        for each in (fresh, path):
            if os.path.exists(each):
                os.truncate(each, 0)
                os.unlink(each)

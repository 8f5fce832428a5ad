"""The differences between two fingerprints are reported, and nothing else."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.addons.dask.registry import Fingerprint, differences, fingerprint
from pytest_orchestrator.execution.remote.attempt import root_of_worker

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HERE = Fingerprint(
    host="bench-1",
    root="/lab",
    is_there=True,
    python="3.13",
    packages={"msgspec": "0.20.0", "pytest_orchestrator": "1.0", "yaml": "", "pyvisa": None},
    files={"recipes/cdu.yaml": "3f2a11119999aaaa", "steps/x.py": "aa", "odd.py": ""},
)


def _worker(**changed: Any) -> Fingerprint:
    return msgspec.structs.replace(HERE, host="bench-2", root="/else", **changed)


def test_each_difference_has_one_line() -> None:
    worker = _worker(
        python="3.12",
        packages={"msgspec": "0.18.6", "yaml": "6.0", "pyvisa": "1.2"},
        files={"recipes/cdu.yaml": "91bc22229999aaaa", "odd.py": "bb"},
    )

    assert differences(HERE, worker) == [
        "Python 3.12, here 3.13",
        "odd.py is there, and not here",
        "package msgspec 0.18.6, here 0.20.0",
        "package pytest_orchestrator is missing",
        "package pyvisa 1.2 is there, and not here",
        "package yaml 6.0, here without one",
        "recipes/cdu.yaml is another one (3f2a1111… here, 91bc2222… there)",
        "steps/x.py is not there",
    ]


def test_a_missing_project_is_one_difference() -> None:
    assert differences(HERE, _worker(is_there=False, files={})) == [
        "folder /else is not there; ORCHESTRATOR_ROOT says on a worker where it is"
    ]
    assert differences(HERE, _worker()) == []


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from("abc"), values)


FINGERPRINTS = st.builds(
    Fingerprint,
    host=st.sampled_from("hk"),
    root=st.sampled_from("rs"),
    is_there=st.just(True),
    python=st.sampled_from(["3.11", "3.13"]),
    packages=_some(st.sampled_from([None, "", "1", "2"])),
    files=_some(st.sampled_from(["", "1" * 16, "2" * 16])),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FINGERPRINTS, FINGERPRINTS)
def test_fingerprints_differ_only_if_their_contents_differ(
    client: Fingerprint, worker: Fingerprint
) -> None:
    def contents(of: Fingerprint) -> tuple[object, ...]:
        packages = {name: each for name, each in of.packages.items() if each is not None}
        return of.python, packages, {name: each for name, each in of.files.items() if each}

    lines = differences(client, worker)

    assert (lines == []) is (contents(client) == contents(worker))
    assert differences(client, client) == []
    assert lines == sorted(set(lines))


def test_a_process_fingerprints_packages_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("steps: []\n")
    monkeypatch.setenv("ORCHESTRATOR_ROOT", "/not/there")
    names = ["a.yaml", "gone.py", ".", "\0", "x" * 5000]

    found = fingerprint(str(tmp_path), names, ["yaml", "no_such_module", ".", "os.path", ""])

    assert (found.host, found.root, found.is_there) == (socket.gethostname(), str(tmp_path), True)
    assert found.python == ".".join(map(str, sys.version_info[:2]))
    assert found.files == {"a.yaml": "315b81de5a786a81", **dict.fromkeys(names[1:], "")}
    assert found.packages["no_such_module"] is None
    assert found.packages["yaml"] is not None
    assert {"pytest_orchestrator", "pytest", "msgspec", "PyYAML", "Jinja2"} <= {*found.packages}
    assert None not in [found.packages[name] for name in ("pytest", "msgspec", "PyYAML", "Jinja2")]
    worker = fingerprint(str(tmp_path), names, is_worker=True)
    assert (worker.root, worker.is_there, worker.files["a.yaml"]) == ("/not/there", False, "")
    monkeypatch.delenv("ORCHESTRATOR_ROOT")
    assert root_of_worker("/lab") == "/lab"
    assert fingerprint(os.fspath(tmp_path), names, is_worker=True).files == found.files

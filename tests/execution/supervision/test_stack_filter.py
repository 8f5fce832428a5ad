"""Stack dumps of a step without the frames of this package and of pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pytest_orchestrator
from pytest_orchestrator.execution.supervision.stack_filter import StackFilter

_OWN = Path(pytest_orchestrator.__file__).parent
_SITE = "/v/lib/python3.13/site-packages"
_DUMP = f"""\
measured
Thread 0x00007f42 [probe] (most recent call first):
  File "/usr/lib/python3.13/threading.py", line 982 in run

Fatal Python error: Segmentation fault

Current thread 0x00007f43 (most recent call first):
  File "/bench/steps.py", line 16 in segv
  File "{_OWN}/scriptlets/call.py", line 104 in call
  File "/bench/recipes/a.yaml", line 3 in crash
  File "{_SITE}/_pytest/runner.py", line 361 in from_call
  File "{_SITE}/pluggy/_callers.py", line 121 in _multicall
  File "{_SITE}/pytest_orchestrator/plugin/lane.py", line 55 in main
  File "/work/pytest_orchestrator/steps.py", line 3 in of_the_user
  File "<string>", line 2 in made_by_the_user
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  File "<string>", line 5 in <module>

Extension modules: yaml._yaml (total: 1)
Stack (most recent call first):
  File "/bench/steps.py", line 16 in without_the_gil
  File "{_OWN}/scriptlets/call.py", line 104 in call

Thread 0x00007f44 (most recent call first):
  <no Python frame>
  File "{_OWN}/in_no_dump.py", line 1 in printed
Thread 0 is idle
Thre"""
_SHOWN = """\
measured
Thread 0x00007f42 [probe] (most recent call first):
  File "/usr/lib/python3.13/threading.py", line 982 in run

Fatal Python error: Segmentation fault

Current thread 0x00007f43 (most recent call first):
  File "/bench/steps.py", line 16 in segv
  File "/bench/recipes/a.yaml", line 3 in crash
  File "/work/pytest_orchestrator/steps.py", line 3 in of_the_user
  File "<string>", line 2 in made_by_the_user

Extension modules: yaml._yaml (total: 1)
Stack (most recent call first):
  File "/bench/steps.py", line 16 in without_the_gil

Thread 0x00007f44 (most recent call first):
  <no Python frame>
  File "OWN/in_no_dump.py", line 1 in printed
Thread 0 is idle
Thre""".replace("OWN", str(_OWN))


def _filtered(text: bytes, sizes: list[int]) -> bytes:
    """Return a text that passed the filter in chunks of these sizes; the last takes the rest."""
    stacks, shown, at = StackFilter(), b"", 0
    for size in [*sizes, len(text)]:
        shown += stacks.feed(text[at : at + size])
        at += size
    return shown + stacks.end()


@given(st.lists(st.integers(0, 90)))
@example([])
@example([1] * len(_DUMP))
def test_a_dump_has_only_frames_of_the_user(sizes: list[int]) -> None:
    assert _filtered(_DUMP.encode(), sizes).decode() == _SHOWN


@given(
    st.lists(st.sampled_from([b"Thread 0x", b"Current t", b"Stack (m", b"\n", b'  File "', b"a"])),
    st.lists(st.integers(0, 9)),
)
def test_output_without_frames_of_this_package_passes_unchanged(
    parts: list[bytes], sizes: list[int]
) -> None:
    text = b"".join(parts)
    assert _filtered(text, sizes) == text


@pytest.mark.parametrize(
    ("chunk", "shown"),
    [(b"50 %", b"50 %"), (b"one\nTh", b"one\n"), (b"a Thread 0x", b"a Thread 0x"), (b"\n", b"\n")],
)
def test_only_the_beginning_of_a_line_of_a_dump_is_held_back(chunk: bytes, shown: bytes) -> None:
    stacks = StackFilter()

    assert stacks.feed(chunk) == shown
    assert shown + stacks.end() == chunk

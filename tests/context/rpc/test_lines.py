"""Lines are complete however their bytes arrive, and no more than the limit is kept."""

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.rpc.protocol import LineBuffer


def fed(lines: LineBuffer, data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    ended: list[bytes] = []
    for start, end in pairwise(edges):
        ended += [bytes(line) for line in lines.feed(data[start:end])]
    return ended


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0)))
def test_lines_do_not_depend_on_where_their_bytes_are_cut(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"\n".join(parts)

    assert fed(LineBuffer(1000), data, cuts) == data.split(b"\n")[:-1]


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0)), st.integers(0, 9))
def test_a_too_long_line_is_cut_and_the_others_are_whole(
    parts: list[bytes], cuts: list[int], limit: int
) -> None:
    data = b"\n".join(parts) + b"\n"

    ended = fed(LineBuffer(limit), data, cuts)

    assert [line[: limit + 1] for line in ended] == [
        line[: limit + 1] for line in data.split(b"\n")[:-1]
    ]


def test_a_line_without_end_takes_no_memory() -> None:
    lines = LineBuffer(1000)
    megabyte = b"x" * (1 << 20)
    tracemalloc.start()
    try:
        for _ in range(20):
            assert lines.feed(megabyte) == []
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 10_000
    assert peak < 3 << 20
    assert [len(line) for line in lines.feed(b"\nok\n")] == [1001, 2]

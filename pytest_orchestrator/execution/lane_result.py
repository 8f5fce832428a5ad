"""What a lane told, in the words of a StepResult."""

import contextlib
import json
import os

from pytest_orchestrator.core.result import Failure, Stream, Usage
from pytest_orchestrator.execution.exited import Exited, LaneLost, Output
from pytest_orchestrator.execution.printable import shown
from pytest_orchestrator.recipe.model import Step


def stream(output: Output) -> Stream:
    """Return the head and tail of an output as text for people."""
    left_out = output.size - len(output.head) - len(output.tail)
    if left_out:
        head, tail = shown(output.head), shown(output.tail)
        text = f"{head}\n… {left_out} bytes are left out here …\n{tail}"
    else:
        text = shown(output.head + output.tail)
    return Stream(
        text=text,
        size=output.size,
        log=output.log if output.size else None,
        cut=output.cut,
        kept=output.kept,
        edges=(b"", b"") if output.kept == output.size else (output.head, output.tail),
        replaced=tuple((at, raw) for at, raw in output.replaced),
    )


def usage(exited: Exited, samples: str | None) -> Usage:
    """Return the figures of a program that ran in a lane.

    Args:
        exited: What the lane told.
        samples: The path for what was sampled while it ran; None is nowhere.
    """
    source = {"cpu": "wait4", "memory": exited.memory_source}
    if exited.read_bytes is not None:
        source["io"] = "wait4"
    return Usage(
        seconds=exited.seconds,
        cpu_user_seconds=exited.user,
        cpu_system_seconds=exited.system,
        max_rss=exited.max_rss or None,
        largest_rss=exited.largest_rss or None,
        read_bytes=exited.read_bytes,
        write_bytes=exited.write_bytes,
        processes=exited.processes,
        samples=_written(exited.samples, samples),
        source=source,
    )


def elsewhere(exited: Exited) -> Usage:
    """Return the figures of a program that ran on another machine: how long it took, no more."""
    source = {"cpu": "unavailable", "memory": "unavailable"}
    return Usage(seconds=exited.seconds, source=source)


def _written(samples: list[tuple[float, int, float]], path: str | None) -> str | None:
    """Write samples as JSON lines; a program that was gone before the first has none."""
    if path is None or not samples:
        return None
    rows = [
        {"seconds": round(seconds, 6), "rss": rss, "cpu_seconds": round(cpu, 6)}
        for seconds, rss, cpu in samples
    ]
    with contextlib.suppress(OSError):  # a full disk fails no step
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return path
    return None


def lost_failure(lost: LaneLost, step: Step, timeout: float | None) -> Failure:
    """Return the failure of a step whose lane was lost."""
    if lost.timed_out:
        reason = f"timeout: still running after {timeout:g} s; {lost}"
        return Failure(kind="timeout", reason=reason, place=step.at.get("timeout"))
    reason = f"its process was lost: {lost}"
    return Failure(kind="crash", reason=reason, place=step.at.get("cmd"))

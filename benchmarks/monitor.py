"""Cost of the monitor with a run of 3,000 steps and a journal of 100 MB.

    python benchmarks/monitor.py [MEGABYTES]

Needs the extra `monitor`. Prints the time until each tab is shown for the first time, the CPU time
of a refresh after a few new lines, and the memory of the process at the end.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_orchestrator.monitor.app import application
from tests.runs.built import Built

RUN = "20261125T101502Z-7f3a91c0d2e4"
STEPS = 3_000
TABS = ("graph", "timeline", "steps", "context", "resources", "measurements", "log")
CALLBACK_PATH = "/_dash-update-component"


def written(base: Path, megabytes: int) -> Built:
    """Write a running run: half of its steps have ended, and each of these changed many keys."""
    built = Built(base, RUN)
    names = [f"step_{number:04}" for number in range(STEPS)]
    built.begin(*names)
    reading = "x" * 400
    changes = megabytes * 1_000_000 // (STEPS // 2) // 700
    for number, name in enumerate(names[: STEPS // 2]):
        built.start(name)
        for change in range(changes):
            key = f"bench.rack_{number % 50}.channel_{change % 20}_v1"
            built.change(name, key, f"{number}.{change} {reading}")
        built.finish(name, measured={"ripple": 12.0})
    return built


def resident() -> float:
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class PageClient:
    """HTTP client that requests a page as a browser does."""

    def __init__(self, base: Path) -> None:
        server = application(base, "token", {"localhost"})
        self.client = server.test_client()
        self.client.get("/?token=token")
        specs = self.client.get("/_dash-dependencies").get_json()
        self.specs = {one["output"]: one for one in specs}

    def ask(self, output: str, **values: Any) -> tuple[Any, float, float]:
        """Request an output of a callback; return the reply, its wall seconds and CPU seconds."""
        spec = next(one for name, one in self.specs.items() if output in name)

        def with_value(each: dict[str, str]) -> dict[str, Any]:
            name = f"{each['id']}.{each['property']}"
            return each | {"value": values.get(name.replace("-", "_").replace(".", "__"))}

        outputs = [
            {"id": part.rpartition(".")[0], "property": part.rpartition(".")[2].partition("@")[0]}
            for part in spec["output"].strip(".").split("...")
        ]
        body = {
            "output": spec["output"],
            "outputs": outputs if spec["output"].startswith("..") else outputs[0],
            "inputs": [with_value(one) for one in spec["inputs"]],
            "state": [with_value(one) for one in spec["state"]],
            "changedPropIds": [f"{spec['inputs'][0]['id']}.{spec['inputs'][0]['property']}"],
        }
        wall, cpu = time.perf_counter(), time.process_time()
        answer = self.client.post(CALLBACK_PATH, json=body)
        spent = time.perf_counter() - wall, time.process_time() - cpu
        assert answer.status_code in (200, 204), answer.text
        return answer.get_json(silent=True), *spent


def store_data(layout: Any, name: str) -> Any:
    """Return the data of the `dcc.Store` with an id in a layout; None if it is missing."""
    if isinstance(layout, dict):
        if layout.get("id") == name:
            return layout.get("data")
        layout = list(layout.values())
    if isinstance(layout, list):
        return next((one for each in layout if (one := store_data(each, name)) is not None), None)
    return None


def measured(base: Path, megabytes: int) -> None:
    """Measure all tabs and print the figures."""
    built = written(base, megabytes)
    size = (built.folder / "journal.jsonl").stat().st_size
    print(f"{STEPS:,} steps, journal of {size / 1e6:.0f} MB, {built.lines:,} lines")
    before = resident()
    page = PageClient(base)
    _, wall, cpu = page.ask("page.children", url__pathname=f"/run/{RUN}")
    print(f"first page {wall:.2f} s ({cpu:.2f} s CPU)")
    print(f"memory {resident():.0f} MB, {before:.0f} MB before")
    step = STEPS // 2
    for tab in TABS:
        reply, wall, cpu = page.ask("pane.children", tab__value=tab, run__data=RUN)
        line = f"{tab:13} shown in {wall * 1e3:6.0f} ms"
        seen = store_data(reply, f"{tab}-seen")
        spent = []
        for _ in range(4):
            name = f"step_{step:04}"
            built.start(name)
            built.change(name, "bench.rack_1.channel_1_v1", "now")
            built.finish(name, measured={"ripple": 12.0})
            step += 1
            values = {"run__data": RUN, "tick__n_intervals": 1, f"{tab}_seen__data": seen}
            values |= {"as_of__value": 10_000, "as_of__max": 0}
            _, _, common = page.ask("bar.children", **values)
            reply, _, own = page.ask(f"{tab}-seen.data", **values)
            seen = ((reply or {}).get("response", {}).get(f"{tab}-seen") or {}).get("data", seen)
            spent.append((common, own))
        common, own = (sorted(one)[len(one) // 2] for one in zip(*spent, strict=True))
        print(f"{line}, a refresh {own * 1e3:6.1f} ms CPU and {common * 1e3:5.1f} for the page")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"memory {resident():.0f} MB, {peak:.0f} at most")
    built.journal.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measured(Path(place), int(sys.argv[1]) if sys.argv[1:] else 100)

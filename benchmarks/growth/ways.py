"""Comparison of the ways to run many recipes on one machine: 40 recipes of 10 steps of 50 ms.

Waiting steps show how well a way uses the time, computing steps show its cost. In a chain each
step needs the previous one; side by side no step needs another.
"""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.growth.tables import Table
from benchmarks.measure import cost
from benchmarks.projects import INI, write
from benchmarks.run import environment, without_others

RECIPES, STEPS = 40, 10

WORK = """\
import time


def wait():
    time.sleep(0.05)
    return {"status": "ok"}


def compute():
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    return {"status": "ok"}
"""

SHAPES = {
    "a chain that waits": ("wait", ""),
    "side by side, waiting": ("wait", ", needs: []"),
    "side by side, computing": ("compute", ", needs: []"),
}

WAYS: dict[str, tuple[str, ...]] = {
    "one by one": (),
    "--recipe-jobs 2": ("--recipe-jobs=2",),
    "--recipe-jobs 8": ("--recipe-jobs=8",),
    "-n 2": ("-n", "2"),
    "-n 8": ("-n", "8"),
    "-n 2 --recipe-jobs 4": ("-n", "2", "--recipe-jobs=4"),
    "--recipe-dask local:2": ("--recipe-dask=local:2",),
}


def _project(function: str, needs: str) -> dict[str, str]:
    keys = f"type: python, module: work, function: {function}{needs}"
    steps = "".join(f"  - {{name: s{number}, {keys}}}\n" for number in range(STEPS))
    recipes = {f"recipes/r{number:02}.yaml": f"steps:\n{steps}" for number in range(RECIPES)}
    return {"pytest.ini": INI, "work.py": WORK} | recipes


def _available() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the ways whose dependencies are installed."""
    for name, options in WAYS.items():
        needs = "distributed" if "dask" in name else "xdist" if "-n" in options else "pytest"
        if importlib.util.find_spec(needs):
            yield name, options


def measured(rounds: int, recipes: int = RECIPES) -> Table:
    """Return the table of the durations of sessions.

    Args:
        rounds: Number of rounds; the ways are interleaved.
        recipes: Number of recipes in each session.
    """
    durations: dict[str, dict[str, list[float]]] = {name: {} for name, _ in _available()}
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        for number, (shape, (function, needs)) in enumerate(SHAPES.items()):
            place = Path(folder, str(number))
            place.mkdir()
            write(_project(function, needs), place)
            files = [f"recipes/r{one:02}.yaml" for one in range(recipes)]
            for turn in range(rounds):
                ways = list(_available())
                for name, options in ways if turn % 2 else reversed(ways):
                    took = _seconds(place, [*options, *files], recipes * STEPS)
                    durations[name].setdefault(shape, []).append(took)
    rows: list[tuple[float | str | None, ...]] = [
        (name, *map(median, shapes.values())) for name, shapes in durations.items()
    ]
    return Table(
        f"Seconds of a session of {recipes} recipes of {STEPS} steps of 50 ms",
        ("way", *SHAPES),
        rows,
    )


def _seconds(place: Path, options: list[str], expected: int) -> float:
    names = {f"no:{name}" for name in ("xdist", "xdist.looponfail")}
    others = [one for one in without_others() if one not in names and one != "-p"]
    disabled = [word for one in others for word in ("-p", one)]
    argv = [sys.executable, "-m", "pytest", "-q", "-o", "recipe_html=false", *disabled, *options]
    begun = time.perf_counter()
    cost(argv, folder=place, env=environment(), expected=expected)
    return time.perf_counter() - begun


def dask(rounds: int, steps: int = 200) -> Table:
    """Return the table of steps a second with 1, 2, 4 and 8 workers of Dask on this machine.

    Args:
        rounds: Number of rounds.
        steps: Number of steps of a session; each calls a Python function that does nothing. The
            duration of a session with a tenth of these steps is subtracted as start-up.
    """
    if not importlib.util.find_spec("distributed"):
        return Table(
            "Dask steps a second with 1 to 8 workers: distributed is not installed", (), []
        )
    rows = []
    text = WORK + "\n\ndef nothing():\n    return {'status': 'ok'}\n"
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        place = Path(folder)
        keys = "type: python, module: work, function: nothing, needs: []"
        for name, number in (("few", steps // 10), ("many", steps)):
            lines = "".join(f"  - {{name: s{one}, {keys}}}\n" for one in range(number))
            (place / f"{name}.yaml").write_text(f"steps:\n{lines}")
        write({"pytest.ini": INI, "work.py": text}, place)
        for workers in (1, 2, 4, 8):
            each = []
            for _ in range(rounds):
                option = f"--recipe-dask=local:{workers}"
                few = _seconds(place, [option, "few.yaml"], steps // 10)
                many = _seconds(place, [option, "many.yaml"], steps)
                each.append((steps - steps // 10) / max(many - few, 1e-3))
            rows.append((workers, median(each)))
    return Table("Dask steps a second with 1 to 8 workers", ("workers", "steps a second"), rows)

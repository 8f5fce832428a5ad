"""The benchmark cases by name: their runs and figures."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.case import Case, Figure, Run
from benchmarks.measure import Cost, intercept, slope

WITHOUT = ("-p", "no:orchestrator")
COLLECT = ("--collect-only",)


def startup() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        test, recipe = costs["one empty test"], costs["recipe of two shell steps"]
        return [Figure("CPU, recipe / test", recipe.cpu / test.cpu, "x", 2.3)]

    return Case(
        "start-up of a recipe of two shell steps",
        (
            Run("one empty test", "empty", 1, options=WITHOUT),
            Run("recipe of two shell steps", "recipe-shell", 2),
        ),
        figures,
    )


def collection() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        tests, recipes = costs["tests"], costs["recipes"]
        return [
            Figure("CPU, recipes / tests", recipes.cpu / tests.cpu, "x", 1.2),
            Figure("peak memory, recipes / tests", recipes.peak / tests.peak, "x"),
        ]

    return Case(
        "collection of 1,000 recipes of 10 steps, and of 1,000 files of 10 hand-written tests",
        (
            Run("tests", "function", 10, 1_000, options=(*WITHOUT, *COLLECT)),
            Run("recipes", "recipe-python", 10, 1_000, options=COLLECT),
        ),
        figures,
    )


class Side(NamedTuple):
    """One side of a comparison: a kind of steps or tests, and the cost of one more of them.

    Attributes:
        name: Its name in the table, in the plural.
        kind: One of `projects.KINDS`.
        options: Options of pytest.
    """

    name: str
    kind: str
    options: tuple[str, ...] = ()


def against(about: str, step: Side, other: Side, goal: float, sizes: tuple[int, int]) -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        ours, theirs = (
            slope(*(costs[f"{n} {side.name}"].cpu for n in sizes), between=sizes) * 1e3
            for side in (step, other)
        )
        return [
            Figure(f"CPU per one of {other.name}", theirs, "ms"),
            Figure(f"CPU per one of {step.name}", ours, "ms"),
            Figure("CPU, the second / the first", ours / theirs, "x", goal),
        ]

    return Case(
        about,
        tuple(
            Run(f"{n} {side.name}", side.kind, n, options=side.options)
            for side in (other, step)
            for n in sizes
        ),
        figures,
    )


def shell_step() -> Case:
    return against(
        "CPU of a shell step, and of a hand-written test with subprocess.run and a timeout",
        Side("shell steps", "recipe-shell"),
        Side("subprocess.run tests", "subprocess", WITHOUT),
        goal=1.3,
        sizes=(50, 450),
    )


def python_step() -> Case:
    return against(
        "CPU of a python step that reads and writes a key of the Context, and of a shell step",
        Side("python steps", "recipe-context"),
        Side("shell steps", "recipe-shell"),
        goal=1.3,
        sizes=(50, 450),
    )


def inline() -> Case:
    return against(
        "CPU of an inline python step that does nothing, and of a bare custom item",
        Side("inline steps", "recipe-inline"),
        Side("bare items", "bare-item", WITHOUT),
        goal=2.0,
        sizes=(200, 2_200),
    )


def journal() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        with_journal, without = costs["with the journal"].cpu, costs["without"].cpu
        each = (with_journal - without) * 1e6 / 1_000
        return [
            Figure("CPU of the journal per step", each, "us"),
            Figure("CPU, with / without", with_journal / without, "x", 1.05),
        ]

    return Case(
        "1,000 python steps that do nothing, with the journal and without",
        (Run("without", "recipe-unkept", 1_000), Run("with the journal", "recipe-python", 1_000)),
        figures,
    )


def reports() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        without, alone, everything = (costs[name].cpu for name in ("none", "page", "all reports"))
        return [
            Figure("CPU of the page and the pictures", alone - without, "s"),
            Figure("CPU, with all reports / with none", everything / without, "x", 1.1),
        ]

    json = ("-p", "pytest_jsonreport", "--json-report", "--json-report-file=report.json")
    files = (*json, "--junitxml=report.xml")
    return Case(
        "all reports of a recipe of 1,000 python steps",
        (
            Run("none", "recipe-python", 1_000, options=("-o", "recipe_html=false")),
            Run("page", "recipe-python", 1_000, options=("-o", "recipe_html=true")),
            Run("all reports", "recipe-python", 1_000, options=("-o", "recipe_html=true", *files)),
        ),
        figures,
    )


def scaling(kind: str) -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        one, some, many = (costs[f"{n} steps"].cpu for n in (1, 1_000, 10_000))
        at_some = slope(one, some, between=(1, 1_000)) * 1e3
        at_many = slope(one, many, between=(1, 10_000)) * 1e3
        return [
            Figure("CPU per step at 1,000", at_some, "ms"),
            Figure("CPU per step at 10,000", at_many, "ms"),
            Figure("at 10,000 / at 1,000", at_many / at_some, "x", 1.15),
        ]

    return Case(
        f"cost per step of one long recipe ({kind})",
        tuple(Run(f"{n} steps", kind, n) for n in (1, 1_000, 10_000)),
        figures,
    )


def idle() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        extra = costs["with the plugin"].cpu - costs["without"].cpu
        return [Figure("CPU that the plugin adds", extra * 1e3, "ms", 10.0)]

    return Case(
        "a project without recipes, with the plugin and without",
        (
            Run("without", "function", 10, 2, options=WITHOUT),
            Run("with the plugin", "function", 10, 2),
        ),
        figures,
    )


def slow_import() -> Case:
    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        extra = costs["module of 200 ms"].cpu - costs["module of nothing"].cpu
        return [Figure("CPU that the import adds", extra, "s", 0.5)]

    return Case(
        "fifty steps of a module whose import takes 200 ms, and of one whose import takes none",
        (
            Run("module of nothing", "recipe-python", 50),
            Run("module of 200 ms", "recipe-slow-import", 50),
        ),
        figures,
    )


def large(kind: str) -> Case:
    sizes = (50, 450)

    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        small, large = (
            slope(*(costs[f"{n} steps of {size}"].cpu for n in sizes), between=sizes)
            for size in ("a small pytest", "one of 300 MB")
        )
        return [Figure("CPU per step, of one of 300 MB / of a small one", large / small, "x", 1.2)]

    return Case(
        f"cost per step from a pytest of 300 MB ({kind})",
        tuple(
            Run(f"{n} steps of {size}", which, n)
            for size, which in (("a small pytest", kind), ("one of 300 MB", f"{kind}-large"))
            for n in sizes
        ),
        figures,
    )


def steps() -> Case:
    sizes = {
        "function": (200, 2_200),
        "bare-item": (200, 2_200),
        "recipe-python": (200, 2_200),
        "subprocess": (50, 450),
        "recipe-shell": (50, 450),
    }

    def figures(costs: Mapping[str, Cost]) -> list[Figure]:
        rows = []
        for kind, between in sizes.items():
            few, many = (costs[f"{n} {kind}"] for n in between)
            start = intercept(few.cpu, many.cpu, between=between)
            step = slope(few.cpu, many.cpu, between=between)
            memory = slope(few.peak, many.peak, between=between)
            rows += [
                Figure(f"{kind}: start-up", start * 1e3, "ms"),
                Figure(f"{kind}: CPU per step", step * 1e3, "ms"),
                Figure(f"{kind}: memory per step", memory / 1024, "KiB"),
            ]
        return rows

    return Case(
        "what a step costs beside a bare item and hand-written tests that do the same",
        tuple(
            Run(f"{n} {kind}", kind, n, options=() if kind.startswith("recipe") else WITHOUT)
            for kind, between in sizes.items()
            for n in between
        ),
        figures,
    )


CASES: dict[str, Case] = {
    "startup": startup(),
    "collection": collection(),
    "shell-step": shell_step(),
    "python-step": python_step(),
    "inline": inline(),
    "scaling-python": scaling("recipe-python"),
    "scaling-shell": scaling("recipe-shell"),
    "journal": journal(),
    "reports": reports(),
    "large-shell": large("recipe-shell"),
    "large-python": large("recipe-python"),
    "large-inline": large("recipe-inline"),
    "idle": idle(),
    "slow-import": slow_import(),
    "steps": steps(),
}

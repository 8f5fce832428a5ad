"""Mutation test of the laws of verdicts: without a protection against false verdicts, a law fails.

For each protection `scripts/mutants` copies the package and its tests, removes the protection from
the copy, and runs its law there. A mutant that the law does not find within its examples is an
error.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LAW = "tests/execution/test_verdict_law.py"
EXACT_LAW = "tests/execution/test_exact_law.py"
PACKAGE = "pytest_orchestrator"


class Change(NamedTuple):
    """Replacement of a text that occurs exactly once in a file of the package."""

    file: str
    old: str
    new: str


_ANY_SENDER = Change(
    "execution/steps/python_process.py",
    "ends = self._ends.get(pid, [])",
    "ends = [one for all_ in self._ends.values() for one in all_][-1:]",
)
_NO_PROOF = Change(
    "execution/steps/python_process.py", 'getattr(socket, "SO_PASSCRED", None)', "None"
)
_COPIES_REPORT = Change(
    "execution/steps/python_inline.py",
    "with OneProcess() as copy:\n        ended = copy.ended = _run(",
    "if copy := OneProcess():\n        ended = copy.ended = _run(",
)
_COPIES_SERVE = Change(
    "plugin/python_lane/item.py",
    "with warnings.catch_warnings(), python_inline.OneProcess():",
    "with warnings.catch_warnings():",
)
_ANY_END = Change(
    "execution/steps/python_process.py",
    "    if exited.wrong is None:\n        return None\n",
    "    if exited.status is not None or exited.wrong is None:\n        return None\n",
)
_MANY_REPORTS = Change(
    "execution/steps/python_process.py", "if len(ends) > 1:", "if len(ends) > 99:"
)
_IGNORED = Change("execution/supervision/lane_process.py", "    signal(SIGCHLD, SIG_DFL)\n", "")
_UNKNOWN_IS_GOOD = (
    Change("execution/steps/shell.py", "and exited.status is None:", "and exited.status == -1:"),
    Change(
        "execution/lanes/messages.py",
        "if self.status is None:\n            return",
        "if self.status == -1:\n            return",
    ),
    Change(
        "execution/steps/python_process.py",
        "    if exited.status is None:\n",
        "    if exited.status == -1:\n",
    ),
)

_DEATHS_ARE_UNKNOWN = Change(
    "execution/scheduling/run.py",
    "return result and self.services.so_far(name, result)",
    "return result",
)

MUTANTS = {
    "a1": (_ANY_SENDER, _COPIES_REPORT),
    "a1-claimed": (_NO_PROOF, _COPIES_REPORT),
    "a1-twice": (_MANY_REPORTS,),
    "a1-import": (_COPIES_SERVE,),
    "a2": (_IGNORED, *_UNKNOWN_IS_GOOD),
    "a2-unknown": (_IGNORED,),
    "a5": (_ANY_END,),
    "services": (_DEATHS_ARE_UNKNOWN,),
}
"""Mutants of the protections in `docs/explanation/guarantees.md`, "Passed", by their number."""

EXACT_MUTANTS = {
    "binary": (
        Change(
            "core/figures/exact.py",
            "written(number) if isinstance(number, float)",
            "number if 1",
        ),
    ),
    "floats": (
        Change("core/figures/exact.py", "exact(value) < exact(low)", "float(value) < float(low)"),
        Change("core/figures/exact.py", "exact(value) > exact(high)", "float(value) > float(high)"),
    ),
    "sums": (
        Change(
            "recipe/model/measurements.py",
            "yield exact(nominal), exact(tolerance)",
            "yield float(nominal), float(tolerance)",
        ),
    ),
    "written": (
        Change("recipe/fields/nested.py", "if type(one) is LongDecimal}", "if one is None}"),
    ),
    "printed": (
        Change("execution/steps/json_output.py", "parse_float=decimal", "parse_float=float"),
    ),
    "compared": (
        Change(
            "core/figures/exact.py",
            "getattr(exact(one), name)(exact(other))",
            "getattr(float, name)(float(one), other)",
        ),
    ),
    "filters": (
        Change(
            "recipe/expressions/sandbox.py",
            "result = call(value, default=None, **named)",
            "result = call(value, **named)",
        ),
    ),
    "infinite": (
        Change(
            "execution/criteria/measurements.py",
            'return None, "its value is infinite"',
            "return math.copysign(1e308, value), ''",
        ),
    ),
    "assert": (
        Change(
            "recipe/expressions/sandbox.py",
            "return int(exact(value)) if is_large else value",
            "return value",
        ),
    ),
    "nonzero": (
        Change("execution/steps/shell.py", "if not code or code in _NOT_FOUND:", "if not code:"),
    ),
    "nonzero-signal": (
        Change(
            "execution/steps/shell.py",
            "return not is_of_signal or (self._launcher.is_here and not is_shell(self._process))",
            "return True",
        ),
    ),
    "nonzero-missing": (
        Change(
            "execution/steps/shell.py",
            "wants = criterion is not None and code in wanted",
            "wants = criterion is not None and bool({code, _NONZERO} & {*wanted})",
        ),
    ),
    "bound": (
        Change(
            "execution/criteria/simple.py",
            "if violated(bound / _MEGA, None, limit):",
            "if violated(0, None, limit):",
        ),
    ),
}
"""Mutants of exact comparison, of filters, of `exit_code: nonzero` and of bounds of memory."""

DEBT_MUTANTS = {
    "pruned": (Change("runs/history/retention.py", "kept = in_debt(folders)", "kept = [*()]"),),
    "unanswered": (
        Change(
            "execution/instruments/process.py",
            'if error.kind != "timeout":\n            raise',
            'if error.kind == "timeout":\n            return',
        ),
    ),
    "renamed": (
        Change(
            "runs/owed_safe.py",
            "if one.resource == self.use.resource and",
            "if one.name == self.instrument and",
        ),
    ),
    "forgotten": (
        Change(
            "runs/journal/debts.py", 'InstrumentSafe(reason="", run="")', 'InstrumentSafe(run="")'
        ),
    ),
    "tried": (
        Change(
            "runs/journal/debts.py",
            'InstrumentSafe(reason="") | DebtForgiven()',
            "InstrumentSafe() | DebtForgiven()",
        ),
    ),
    "simulation-pays": (
        Change(
            "runs/owed_safe.py", "is_same = one.backend == self.use.backend or", "is_same = 1 or"
        ),
    ),
    "query": (Change("cli/verbs/instruments.py", "debts.make_debt(settings, who)", "return"),),
    "revived": (Change("runs/owed_safe.py", "{*self.damaged} | settlers", "{*self.damaged}"),),
    "unsaid": (
        Change(
            "execution/instruments/process.py", "return SENT_NOT_CONFIRMED", 'return "confirmed"'
        ),
    ),
}
"""Mutants of the debts of instruments: each would leave one on, with nothing owed."""

LAWS = {
    **dict.fromkeys(DEBT_MUTANTS, "tests/plugin/instruments/test_debt_law.py"),
    **dict.fromkeys(MUTANTS, LAW),
    "services": "tests/execution/test_recipe_outcome.py",
    **dict.fromkeys(EXACT_MUTANTS, EXACT_LAW),
}
"""The law that finds a mutant."""


def failure_of(law: str, changes: tuple[Change, ...], examples: int) -> str | None:
    """Return the failure text of a law with a mutant; None if the law passes."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        for name in (PACKAGE, "tests", "benchmarks"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, copy)
        for change in changes:
            path = copy / PACKAGE / change.file
            text = path.read_text(encoding="utf-8")
            if text.count(change.old) != 1:
                raise SystemExit(f"{change.file} does not contain exactly once: {change.old!r}")
            path.write_text(text.replace(change.old, change.new), encoding="utf-8")
        env = os.environ | {
            "PYTHONPATH": folder,
            "VERDICT_EXAMPLES": str(examples),
            "VERDICT_FIRST": "",
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", law],
            cwd=copy,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return None
    return next(
        iter(re.findall(r"^E +(?:AssertionError: )?(.+)", done.stdout, re.MULTILINE)), done.stdout
    )


def main() -> int:
    """Run the named mutants, or all; return 1 if the law misses one."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(LAWS))
    parser.add_argument("--examples", type=int, default=400)
    args = parser.parse_args()
    missed = 0
    for name in args.names or LAWS:
        failure = failure_of(
            LAWS[name], (MUTANTS | EXACT_MUTANTS | DEBT_MUTANTS)[name], args.examples
        )
        missed += failure is None
        result = "NOT FOUND" if failure is None else f"found: {failure[:150]}"
        print(f"{name:12} {result}", flush=True)
    print(f"\n{missed or 'none'} not found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

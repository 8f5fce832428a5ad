"""Options and ini keys: declared, checked at the start, and handed to the engine."""

import functools
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin import comparing, junit_file, resources, runners, variables
from pytest_orchestrator.plugin.quantities import SIZES, TIMES, quantity

if TYPE_CHECKING:
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.execution.environment import Environment

RESUME = "--recipe-resume"
LATEST = "latest"

_INI = (
    ("recipe_jobs", "", "number of steps of a recipe that run at the same time"),
    ("recipe_max_size", "1MiB", "largest recipe file that is read, such as 1MiB"),
    ("recipe_max_log", "100MB", "size at which the log of a step is cut, such as 100MB"),
    ("recipe_max_artifact", "1GB", "size above which a file of `artifacts` is not copied"),
    ("recipe_run_dir", ".orchestrator/runs", "folder of the runs, relative to the rootdir"),
    ("recipe_serve", "", "HOST:PORT where the Context of each session is served"),
    ("recipe_keep_runs", "20", "number of runs that are kept; 0 keeps all"),
    ("recipe_shell", "", "what runs command lines: sh, bash, python or a list such as [zsh, -e]"),
    (
        "recipe_timeout",
        "1h",
        "time for a step that names no timeout of its own, such as 90s or 1h; 0 is no limit",
    ),
)


def add(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    group = parser.getgroup("recipes", "YAML recipes as tests")
    resources.add(group, parser)
    runners.add(group, parser)
    junit_file.add(parser)
    _add_what_runs(group)
    group.addoption(
        "--recipe-jobs",
        metavar="N",
        help="number of steps of a recipe that run at the same time (ini: recipe_jobs; default 1)",
    )
    group.addoption(
        "--recipe-timeout-factor",
        metavar="F",
        default="1",
        help="stretch all timeouts of steps by this factor (default 1); 0 switches them off",
    )
    group.addoption(
        "--list-steps",
        action="store_true",
        help="list the scriptlets of the project, which are read and not run, and do no more",
    )
    comparing.add(group)
    group.addoption(
        "--recipe-serve",
        nargs="?",
        const="127.0.0.1:0",
        metavar="HOST:PORT",
        help="serve the Context of the session to other programs, by default at a free port of "
        "the loopback; address and token are in .orchestrator/server.json (ini: recipe_serve)",
    )
    variables.add(group)
    _add_ini(parser)


def _add_what_runs(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--recipe-needs",
        choices=("run", "snapshot", "none"),
        default="run",
        help="what becomes of needed steps that were not selected: run them in the setup of "
        "the step that needs them (default), or snapshot: restore the Context as it stood before "
        "that step in the last run that had it, or none: run the selected steps alone",
    )
    group.addoption(
        RESUME,
        nargs="?",
        const=LATEST,
        metavar="RUN",
        help="go on from an earlier run, the last one or --recipe-resume=RUN: what passed there "
        "is restored, all else runs",
    )
    group.addoption(
        "--recipe-rerun",
        action="append",
        default=[],
        metavar="NAME",
        help="with --recipe-resume: run this step again whatever it did; may be given again",
    )


def _add_ini(parser: pytest.Parser) -> None:
    parser.addini(
        "recipe_files",
        "glob patterns relative to the rootdir of files that are recipes; replaces "
        "recipes/**/*.yaml and *.recipe.yaml",
        type="args",
        default=[],
    )
    parser.addini(
        "recipe_secret_names",
        "patterns of names of environment variables whose values are masked; replaces *TOKEN*, "
        "*SECRET*, *PASSW*, *API_KEY*, *PRIVATE_KEY* and *CREDENTIAL*",
        type="args",
        default=None,
    )
    parser.addini(
        "recipe_validate",
        "true: what `pytest-orchestrator validate` calls a problem is a collection error",
        type="bool",
        default=False,
    )
    parser.addini(
        "recipe_github",
        "false: no annotations and no job summary where a workflow of GitHub runs pytest",
        type="bool",
        default=True,
    )
    parser.addini(
        "recipe_html",
        "false: make no report.html and no pictures in the folder of a run",
        type="bool",
        default=True,
    )
    for name, default, meaning in _INI:
        parser.addini(name, meaning, default=default)


def check(config: pytest.Config) -> None:
    """Read every setting once, so that a wrong one is told before anything is collected.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    config.getini("recipe_files")
    config.getini("recipe_secret_names")
    if config.hook.pytest_recipe_step_types.get_hookimpls() or (
        config.hook.pytest_recipe_criteria.get_hookimpls()
    ):
        from pytest_orchestrator.plugin.state import state_of

        _ = state_of(config).extensions
    size_limit(config)
    shell(config)
    timeout(config)
    keep_runs(config)
    if config.getoption("recipe_var") or config.getoption("recipe_vars_file"):
        from pytest_orchestrator.plugin.state import state_of

        _ = state_of(config).given
    serve_at(config)
    max_log(config)
    max_artifact(config)
    resources.there(config)
    runners.check(config)
    jobs(config)
    junit_file.place(config)
    if config.getoption("recipe_resume") or config.getoption("recipe_rerun"):
        from pytest_orchestrator.plugin.state import state_of

        _ = state_of(config).resuming
    timeout_factor(config)
    comparing.last(config)
    comparing.factor(config)


def size_limit(config: pytest.Config) -> int:
    """Return the largest size of a recipe file in bytes."""
    return int(_number(config, "recipe_max_size", SIZES, "1MiB, 500kB or a number of bytes"))


def shell(config: pytest.Config) -> str | tuple[str, ...] | None:
    """Return what runs command lines of recipes that name no shell; None where nothing says so."""
    text = str(config.getini("recipe_shell")).strip()
    if not text:
        return None
    from pytest_orchestrator.recipe.model import key_types

    try:
        return key_types.shell_setting(text)
    except ValueError as error:
        raise pytest.UsageError(f"ini key recipe_shell: {text!r} {error}") from None


def timeout(config: pytest.Config) -> float | None:
    """Return the default timeout of a step in seconds, None where there is none."""
    return _number(config, "recipe_timeout", TIMES, "90s, 15m, 1h or a number of seconds") or None


def timeout_factor(config: pytest.Config) -> float:
    """Return what timeouts are multiplied by, 0 where there are none."""
    text = str(config.getoption("recipe_timeout_factor")).strip()
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?|\.[0-9]+", text):
        raise pytest.UsageError(
            f"--recipe-timeout-factor: {text!r} is no factor; "
            "write a number such as 2.5, or 0 for no timeouts"
        )
    return float(text)


def run_dir(config: pytest.Config) -> Path:
    """Return the folder of the runs."""
    return config.rootpath / str(config.getini("recipe_run_dir"))


def keep_runs(config: pytest.Config) -> int:
    """Return the number of runs that are kept, 0 where all are."""
    return int(_number(config, "recipe_keep_runs", {"": 1}, "a number"))


def max_log(config: pytest.Config) -> int:
    """Return the size in bytes at which the log of a step is cut."""
    return int(_number(config, "recipe_max_log", SIZES, "100MB, 1MiB or a number of bytes"))


def max_artifact(config: pytest.Config) -> int:
    """Return the size in bytes above which no file is copied into the folder of the run."""
    return int(_number(config, "recipe_max_artifact", SIZES, "1GB, 100MB or a number of bytes"))


def jobs(config: pytest.Config, usual: int | None = None) -> int:
    """Return the number of steps of a recipe that run at the same time.

    Args:
        config: The configuration of the session.
        usual: The number where nobody says one; default: as many as can run where they run.
    """
    given = config.getoption("recipe_jobs")
    name, text = "--recipe-jobs", str(given).strip()
    if given is None:
        name, text = "ini key recipe_jobs", str(config.getini("recipe_jobs")).strip()
        text = text or str(runners.jobs(config) if usual is None else usual)
    if not re.fullmatch(r"0*[1-9][0-9]{0,3}", text):
        raise pytest.UsageError(f"{name}: {text!r} is no number of jobs; write 1, 2 or more")
    return int(text)


_ROOM = pytest.StashKey[tuple[int, str]]()


def slots(config: pytest.Config, usual: int | None = None) -> tuple[int, str]:
    """Return how many of the `jobs` can run: each needs open files, threads and processes.

    Args:
        config: The configuration of the session.
        usual: As for `jobs`.

    Returns:
        The number, and the limit of the system that allows no more; empty where none does.
    """
    wanted = jobs(config, usual)
    if wanted == 1:
        return 1, ""
    if _ROOM not in config.stash:
        from pytest_orchestrator.execution.steps.python_inline import room

        config.stash[_ROOM] = room(wanted)
    most, limit = config.stash[_ROOM]
    return (wanted, "") if wanted <= most else (max(1, most), limit)


def serve_at(config: pytest.Config) -> tuple[str, int] | None:
    """Return host and port where the Context is served; None where it is not."""
    given = config.getoption("recipe_serve")
    name = "--recipe-serve" if given is not None else "ini key recipe_serve"
    text = str(config.getini("recipe_serve") if given is None else given).strip()
    if not text:
        return None
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)?:)?([0-9]{1,5})", text)
    if found is None or int(found[2]) > 65535:
        cure = ""
        if given is not None and (config.invocation_params.dir / text).exists():
            cure = "; write --recipe-serve=127.0.0.1:0 before a path"
        raise pytest.UsageError(f"{name}: {text!r} is no HOST:PORT{cure}")
    return (found[1] or "127.0.0.1").strip("[]"), int(found[2])


def masker(config: pytest.Config) -> "Masker":
    """Return what masks the secrets of this session."""
    from pytest_orchestrator.core.secrets import NAMES, Masker

    names = config.getini("recipe_secret_names")
    return Masker(NAMES if names is None else names)


def environment(config: pytest.Config) -> "Environment":
    """Return what the steps of this session are given."""
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.plugin import lanes, output, serving, waiting
    from pytest_orchestrator.plugin.state import state_of

    secrets = state_of(config).secrets
    watched = config.getoption("usepdb", False) or config.getoption("trace", False)
    return Environment(
        root=config.rootpath,
        timeout=timeout(config),
        stretch=0.0 if watched else timeout_factor(config),
        expected=(pytest.xfail.Exception,),
        skips=(pytest.skip.Exception,),
        passes_through=(pytest.exit.Exception,),
        before_import=pytest.register_assert_rewrite,
        hear=functools.partial(lanes.hear, secrets),
        stop=lambda reason, status: lanes.stop(secrets.text(reason), status),
        secrets=secrets,
        door=serving.door(config),
        inline=bool(watched or "pydevd" in sys.modules),
        slot=lanes.slot(config),
        run=state_of(config).folder.path.name,
        folder=state_of(config).folder.path,
        given=state_of(config).given,
        waiting=waiting.teller(config),
        resources_there=resources.there(config),
        live=output.shown_live(config),
        max_log=max_log(config),
        max_artifact=max_artifact(config),
    )


def _number(config: pytest.Config, key: str, units: Mapping[str, float], such: str) -> float:
    try:
        return quantity(str(config.getini(key)), units)
    except ValueError as error:
        raise pytest.UsageError(f"ini key {key}: {error}; write {such}") from None

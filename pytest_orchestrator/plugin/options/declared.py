"""Options and ini keys of the plugin, as tables. PYTEST_DONT_REWRITE.

pytest loads this module in every session, so it imports nothing; other modules read the values.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

RESUME = "--recipe-resume"
LATEST = "latest"
MONITOR = "--recipe-monitor"
WITH_SESSION = "session"
KEEP = "keep"
BARE = {RESUME: LATEST, MONITOR: WITH_SESSION}
"""Options whose value may be left out, with the value that they have then."""

REMOVED = {
    "--recipe-ctrf": "ctrf:FILE",
    "--recipe-allure": "allure:FOLDER",
    "--recipe-otel": "otel or --recipe-export=otel:ENDPOINT",
}
"""Options of earlier versions, with the value of ``--recipe-export`` that replaces each."""

REMOVED_KEYS = {
    "recipe_github_artifact": "the job summary names the path of the report in the uploaded files",
    "report_css": "pages keep their own styles; report_title and report_logo stay",
}
"""Ini keys of earlier versions, which do nothing, with what a project does instead."""

BOOLEANS = (
    (
        "recipe_validate",
        False,
        "true: what `pytest-orchestrator validate` calls a problem is a collection error",
    ),
    (
        "recipe_github",
        True,
        "false: no annotations and no job summary where a workflow of GitHub runs pytest",
    ),
    (
        "recipe_html",
        True,
        "false: make no report.html and no pictures in the folder of a run",
    ),
)
"""Boolean ini keys: name, default and help text."""

_TEXTS = (
    ("recipe_runner", "local", "where steps run: local or dask"),
    (
        "recipe_dask",
        "",
        "the scheduler of Dask: an address, a scheduler file or local:N; used with the runner dask",
    ),
    (
        "recipe_junit_properties",
        "testcase",
        "where a JUnit file has the properties of a step: testcase or testsuite",
    ),
    ("recipe_jobs", "", "number of steps of a recipe that run at the same time"),
    ("recipe_max_size", "1MiB", "largest recipe file that is read, such as 1MiB"),
    ("recipe_max_log", "100MB", "size at which the log of a step is cut, such as 100MB"),
    ("recipe_max_artifact", "1GB", "size above which a file of `artifacts` is not copied"),
    (
        "recipe_measurements",
        "",
        (
            "file to which the measurements of all steps are appended, .csv or .jsonl, relative to "
            "the rootdir"
        ),
    ),
    ("recipe_run_dir", ".orchestrator/runs", "folder of the runs, relative to the rootdir"),
    ("recipe_serve", "", "HOST:PORT where the Context of each session is served"),
    ("report_title", "", "title of report.html and of certificates; empty is: Test certificate"),
    (
        "report_logo",
        "",
        "picture on reports, relative to the rootdir: svg, png, jpg, webp, gif",
    ),
    ("recipe_notify", "", "address that gets the summary of each run as JSON, by POST"),
    ("recipe_keep_runs", "20", "number of runs that are kept; 0 keeps all"),
    (
        "recipe_table",
        "auto",
        (
            "what the terminal shows of recipes after the run: auto, all, failed or none; auto is "
            "all with -v, and only totals with -q"
        ),
    ),
    (
        "recipe_station",
        "",
        (
            "station file with the instruments of the test station, relative to the rootdir; "
            "without it station.yaml there, if it exists; none: no station file"
        ),
    ),
    (
        "recipe_decision",
        "simple",
        "decision rule of recipes that name none: simple, guarded or nonbinary",
    ),
    ("recipe_shell", "", "what runs command lines: sh, bash, python or a list such as [zsh, -e]"),
    (
        "recipe_timeout",
        "1h",
        "time for a step that names no timeout of its own, such as 90s or 1h; 0 is no limit",
    ),
    (
        "recipe_requires",
        "skip",
        "error: a recipe fails where something is missing that it requires; skip: it is skipped",
    ),
    *[(key, "", f"does nothing any more: {cure}") for key, cure in REMOVED_KEYS.items()],
)
DEFAULTS = {key: default for key, default, _ in _TEXTS}
"""Defaults of the ini keys that are texts."""
_LISTS: tuple[tuple[str, list[str] | None, str], ...] = (
    (
        "recipe_files",
        [],
        (
            "glob patterns relative to the rootdir of files that are recipes; replaces "
            "recipes/**/*.yaml and *.recipe.yaml"
        ),
    ),
    (
        "recipe_secret_names",
        None,
        (
            "patterns of names of environment variables whose values are masked; replaces *TOKEN*, "
            "*SECRET*, *PASSW*, *API_KEY*, *PRIVATE_KEY* and *CREDENTIAL*"
        ),
    ),
    (
        "recipe_export",
        [],
        "exports of each run: ctrf:FILE, allure:FOLDER with paths from the rootdir, otel:ENDPOINT",
    ),
    ("recipe_resources", [], "how many units of each resource exist, such as scope=2"),
)

_REPEATED: dict[str, Any] = {"action": "append", "default": []}
_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--recipe-resource",
        {
            **_REPEATED,
            "metavar": "NAME=N",
            "help": "how many units of a resource exist, which steps request in 'resources'; may "
            "be repeated (ini: recipe_resources)",
        },
    ),
    (
        "--recipe-runner",
        {
            "choices": ("local", "dask"),
            "help": "where steps run: local, on this machine (default), or dask, on workers of "
            "Dask (ini: recipe_runner; needs the extra dask)",
        },
    ),
    (
        "--recipe-dask",
        {
            "metavar": "SCHEDULER",
            "help": "the scheduler of Dask: its address such as tcp://bench-1:8786, the path of "
            "its scheduler file, or local:N for N workers on this machine; says "
            "--recipe-runner=dask (ini: recipe_dask)",
        },
    ),
    (
        "--recipe-needs",
        {
            "choices": ("run", "snapshot", "none"),
            "default": "run",
            "help": "handling of needed steps that were not selected: run them in the setup of the "
            "step that needs them (default), or snapshot: restore the Context as it was before "
            "that step in the last run that has it, or none: run only the selected steps",
        },
    ),
    (
        RESUME,
        {
            "nargs": "?",
            "const": LATEST,
            "metavar": "RUN",
            "help": "resume an earlier run, the last one or --recipe-resume=RUN: steps that passed "
            "are restored, the others run",
        },
    ),
    (
        "--recipe-rerun",
        {
            **_REPEATED,
            "metavar": "NAME",
            "help": "with --recipe-resume: run this step again in any case; may be repeated",
        },
    ),
    (
        "--recipe-station",
        {
            "metavar": "FILE",
            "help": "station file with the instruments of the test station (environment: "
            "ORCHESTRATOR_STATION, ini: recipe_station; default station.yaml at the rootdir, if it "
            "exists); none: no station file",
        },
    ),
    (
        "--recipe-instruments",
        {
            "metavar": "replay:RUN",
            "help": "no instrument is used: the exchanges of an earlier run, or of its bundle, "
            "answer for all of them",
        },
    ),
    (
        "--recipe-jobs",
        {
            "metavar": "N",
            "help": "number of steps of a recipe that run at the same time (ini: recipe_jobs; "
            "default 1)",
        },
    ),
    (
        "--recipe-table",
        {
            "metavar": "WHAT",
            "help": "what the terminal shows of recipes after the run: auto, a line for each "
            "recipe and the steps that did not pass; all, the figures and measurements of all "
            "steps; failed, only recipes that did not pass; none (ini: recipe_table; default auto)",
        },
    ),
    (
        "--recipe-timeout-factor",
        {
            "metavar": "F",
            "default": "1",
            "help": "stretch all timeouts of steps by this factor (default 1); 0 switches them off",
        },
    ),
    (
        "--list-steps",
        {
            "action": "store_true",
            "help": "list the scriptlets of the project without running them, and exit",
        },
    ),
    (
        "--recipe-compare",
        {
            "metavar": "LAST:N|FILE.zip[,required]",
            "help": "fail steps whose time, CPU time, memory or measurements deviate from the last "
            "N passed runs by more than their usual variation, or from the run in a zip file of "
            "`report --bundle`; with `required` also what cannot be compared",
        },
    ),
    (
        "--recipe-compare-factor",
        {
            "metavar": "F",
            "default": "2",
            "help": "how many times the median of these runs a duration or memory may "
            "be (default 2)",
        },
    ),
    (
        "--recipe-serve",
        {
            "nargs": "?",
            "const": "127.0.0.1:0",
            "metavar": "HOST:PORT",
            "help": "serve the Context of the session to other programs, by default at a free port "
            "of the loopback; address and token are in .orchestrator/server.json (ini: "
            "recipe_serve)",
        },
    ),
    (
        "--recipe-var",
        {
            **_REPEATED,
            "metavar": "NAME=VALUE",
            "help": "value of a var of the recipes that declare it: JSON if it is valid JSON, "
            "else text; may be repeated",
        },
    ),
    (
        "--recipe-ask",
        {
            "action": "store_true",
            "help": "ask at the terminal for inputs of recipes that have no value, before the "
            "first step",
        },
    ),
    (
        "--recipe-batch",
        {
            "metavar": "PATH",
            "help": "values from the page of a station; pytest-orchestrator station sets it",
        },
    ),
    (
        "--recipe-vars-file",
        {
            **_REPEATED,
            "metavar": "PATH",
            "help": "file with values of vars: YAML, JSON or dotenv by its ending; may be "
            "repeated, the later wins",
        },
    ),
    (
        "--recipe-answer",
        {
            **_REPEATED,
            "metavar": "STEP.FIELD=VALUE",
            "help": "answer to a field, or to the 'button', of a step that asks a person; STEP may "
            "have a cell and a recipe: recipes/x.yaml::STEP[CELL]; may be repeated",
        },
    ),
    (
        "--recipe-answers",
        {
            **_REPEATED,
            "metavar": "PATH",
            "help": "YAML or JSON file with answers, a mapping of fields for each step; may be "
            "repeated, the later wins",
        },
    ),
    (
        "--recipe-break",
        {
            **_REPEATED,
            "metavar": "STEP",
            "help": "hold before this step and show a prompt, to look, to change values and to try "
            "the step again; 'STEP if EXPR' holds only if the expression is true; STEP may have a "
            "cell and a recipe: recipes/x.yaml::STEP[CELL]; may be repeated",
        },
    ),
    (
        "--recipe-measurements",
        {
            "metavar": "FILE",
            "help": "append the measurements of all steps to this file while they run: "
            "FILE.csv or FILE.jsonl (ini: recipe_measurements)",
        },
    ),
    (
        "--recipe-export",
        {
            **_REPEATED,
            "metavar": "FORMAT:TARGET",
            "help": "export the run at its end: ctrf:FILE, allure:FOLDER, or otel:ENDPOINT, which "
            "may be otel alone (needs the extra otel); may be repeated (ini: recipe_export)",
        },
    ),
    (
        "--recipe-notify",
        {
            "metavar": "URL",
            "help": "post the summary of the run as JSON to an address at its end (environment: "
            "ORCHESTRATOR_NOTIFY, ini: recipe_notify)",
        },
    ),
    (
        MONITOR,
        {
            "nargs": "?",
            "const": WITH_SESSION,
            "metavar": KEEP,
            "help": "show the run in a browser while it is running: the header has the link (needs "
            "the extra monitor); --recipe-monitor=keep: until Ctrl-C after the end of the run",
        },
    ),
)


def add_options(parser: "pytest.Parser") -> None:
    """Declare the options and ini keys of the plugin."""
    group = parser.getgroup("recipes", "orchestrator: YAML recipes as tests")
    for name, settings in _OPTIONS:
        text = settings["help"]
        if not ("; default" in text or "(default" in text):
            text += " (default: not set)"
        group.addoption(name, **{**settings, "help": text})
    for key, default, meaning in _LISTS:
        parser.addini(key, meaning, type="args", default=default)
    for key, is_on, meaning in BOOLEANS:
        parser.addini(key, meaning, type="bool", default=is_on)
    for key, text, meaning in _TEXTS:
        parser.addini(key, meaning, default=text)


def are_default(config: "pytest.Config") -> bool:
    """Return True if no option of the plugin is used and no ini key has another value.

    An ini key whose value has the wrong type counts as another value.
    """
    for name, settings in _OPTIONS:
        default = settings.get("default", False if "action" in settings else None)
        if config.getoption(name) != default:
            return False
    try:
        return all(config.getini(key) == one for key, one, _ in (*_LISTS, *BOOLEANS, *_TEXTS))
    except Exception:  # noqa: BLE001 - pytest raises several types; the check of settings reports it
        return False

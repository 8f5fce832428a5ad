"""Types of the keys of steps that describe a command and its environment.

`defaults` and the root of a recipe have some of them too.
"""

from typing import Annotated, Literal

from pytest_orchestrator.recipe.expressions.names import BEFORE, EARLY
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.key_types import EnvName, EnvValue, FilePath, Word, key

Env = Annotated[
    dict[EnvName, EnvValue],
    key(
        "Environment variables of the command, or of the process of a Python step. Text is passed "
        "as it is, other values as JSON; `null` removes the variable.",
        {"MESSAGE": "Hi"},
        names=BEFORE,
    ),
]

Args = Annotated[
    dict[EnvName, EnvValue],
    key(
        "The same as `env`, for steps that run a command.",
        {"MESSAGE": "Hi"},
        names=BEFORE,
    ),
]

Parse = Annotated[
    Literal["json", "last-line", "data", "text"],
    key(
        "Format of stdout. `json`: one JSON object with a `status`; `last-line`: such an object "
        "in the last line; `data`: any JSON; `text`: any text.",
        "last-line",
    ),
]

Shell = Annotated[
    str | tuple[str, ...] | None,
    key(
        "The interpreter of the command line: `sh` (`/bin/sh -e`), `bash` (`bash --noprofile "
        "--norc -eo pipefail`), `python`, or a list of words to which the path of the script is "
        "appended.",
        "bash",
        written=str | tuple[Word, ...],
        rule=key_types.shell,
    ),
]

WorkingDirectory = Annotated[
    FilePath | None,
    key(
        "Working directory of the command, relative to the rootdir. The default is the rootdir.",
        "firmware",
        names=BEFORE,
    ),
]

Host = Annotated[
    str,
    key(
        "The machine, by its name in the configuration of OpenSSH.",
        "bench-3",
        rule=key_types.host,
    ),
]

Query = Annotated[
    str,
    key(
        "The query that is sent to the instrument; its answer is one number.",
        "MEAS:CURR?",
        rule=key_types.scpi,
        names=EARLY,
    ),
]

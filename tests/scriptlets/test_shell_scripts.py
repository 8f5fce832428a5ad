"""Shell scripts as scriptlets: header, parameters, recognition."""

import pytest

from pytest_orchestrator.scriptlets.discovery import is_script, scriptlet_of
from pytest_orchestrator.scriptlets.model import Param

SCRIPT = """\
#!/bin/sh
# NAME
#     poll.sh - poll a unit
#
# USAGE
#     POLLS=10 LABEL="a b" scriptlets/shell/poll.sh
#
#     POLLS     how many (default 10)
#     LABEL     what to call it
#     OUT       a file (default: none)
#
# RETURNS
#     {"status": "ok"}
set -eu
echo "${POLLS:-10} ${HOME:-x} ${OTHER:-y}"
# NAME
#     other - a comment in the code
"""


def test_a_script_is_described_by_its_header() -> None:
    script = scriptlet_of(SCRIPT, "scriptlets/shell/poll.sh")
    assert (script.name, script.kind, script.summary) == ("poll.sh", "script", "poll a unit")
    assert script.returns == '{"status": "ok"}'
    assert script.params == (
        Param("POLLS", False, "text", "10", True, "how many (default 10)"),
        Param("LABEL", True, "text", None, False, "what to call it"),
        Param("OUT", False, "text", None, False, "a file (default: none)"),
    )


def test_a_script_without_header_has_its_variables_as_params() -> None:
    text = '#!/bin/sh\necho "${VOLTS:-12} ${NAME:?give it} $HOME ${HOME:-/}"\n'
    assert [(param.name, param.required) for param in scriptlet_of(text, "a.sh").params] == [
        ("VOLTS", False),
        ("NAME", True),
    ]


@pytest.mark.parametrize(
    ("name", "start", "is_expected"),
    [
        ("a.sh", "", True),
        ("a.bash", "", True),
        ("run", "#!/usr/bin/env bash\n", True),
        ("run", "#!/usr/bin/env python3\n", False),
        ("README", "sh\n", False),
        ("a.awk", "#!/bin/sh\n", False),
    ],
)
def test_shell_scripts_are_recognised_by_suffix_or_first_line(
    name: str, start: str, *, is_expected: bool
) -> None:
    assert is_script(name, start) == is_expected

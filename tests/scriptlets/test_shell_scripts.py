"""The scriptlet that a shell script is."""

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
#     other - a comment of the body
"""


def test_a_script_is_told_by_its_header() -> None:
    one = scriptlet_of(SCRIPT, "scriptlets/shell/poll.sh")
    assert (one.name, one.kind, one.summary) == ("poll.sh", "script", "poll a unit")
    assert one.returns == '{"status": "ok"}'
    assert one.params == (
        Param("POLLS", False, "text", "10", True, "how many (default 10)"),
        Param("LABEL", True, "text", None, False, "what to call it"),
        Param("OUT", False, "text", None, False, "a file (default: none)"),
    )


def test_without_a_header_the_variables_with_defaults_are_told() -> None:
    text = '#!/bin/sh\necho "${VOLTS:-12} ${NAME:?give it} $HOME ${HOME:-/}"\n'
    assert [(one.name, one.required) for one in scriptlet_of(text, "a.sh").params] == [
        ("VOLTS", False),
        ("NAME", True),
    ]


@pytest.mark.parametrize(
    ("name", "start", "is_one"),
    [
        ("a.sh", "", True),
        ("a.bash", "", True),
        ("run", "#!/usr/bin/env bash\n", True),
        ("run", "#!/usr/bin/env python3\n", False),
        ("README", "sh\n", False),
        ("a.awk", "#!/bin/sh\n", False),
    ],
)
def test_scripts_are_told_by_their_ending_or_first_line(
    name: str, start: str, *, is_one: bool
) -> None:
    assert is_script(name, start) == is_one

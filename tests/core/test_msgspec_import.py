"""Import of msgspec without the modules that this package does not use."""

import subprocess
import sys

from pytest_orchestrator.core.msgspec_import import _Finder

_PROGRAM = """\
import sys
from pytest_orchestrator.core.msgspec_import import import_msgspec
import_msgspec()
print("typing_extensions" in sys.modules)
print("type_info" in object.__getattribute__(sys.modules["msgspec.inspect"], "__dict__"))
import msgspec
class Voltage(msgspec.Struct):
    volts: float
print(type(msgspec.inspect.type_info(Voltage)).__name__)
print(msgspec.json.schema(Voltage)["$defs"]["Voltage"]["required"])
print(msgspec.json.decode(b'{"volts": 5}', type=Voltage))
import typing_extensions
print([str(one) for one in sys.meta_path if "msgspec_import" in str(one)])
"""


def test_msgspec_is_whole_without_the_modules_that_it_imports_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "False",
        "False",
        "StructType",
        "['volts']",
        "Voltage(volts=5.0)",
        "[]",
    ]


def test_the_finder_leaves_other_importers_of_the_same_modules_alone() -> None:
    assert _Finder.find_spec("typing_extensions") is None
    assert _Finder.find_spec("json") is None

import os
import subprocess
import sys

import openhtf as htf
from openhtf.output.callbacks import console_summary, json_factory


def power_on(test):
    subprocess.run(["echo", "output on"], check=True)


@htf.measures(htf.Measurement("ripple_mv").in_range(maximum=50))
def ripple(test):
    if "LONG" in os.environ:
        subprocess.run(["sleep", os.environ["LONG"]], check=True)
    test.measurements.ripple_mv = 61.4


def power_off(test):
    subprocess.run(["touch", "off"], check=True)


unit = htf.Test(htf.PhaseGroup(setup=[power_on], main=[ripple], teardown=[power_off]))
unit.add_output_callbacks(console_summary.ConsoleSummary())
unit.add_output_callbacks(json_factory.OutputToJSON("./out.json"))
sys.exit(not unit.execute(test_start=lambda: "SN1"))

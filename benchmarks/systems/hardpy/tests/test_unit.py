import os
import subprocess

import hardpy
import pytest

pytestmark = pytest.mark.module_name("Unit")


@pytest.fixture(scope="module", autouse=True)
def power():
    subprocess.run(["echo", "output on"], check=True)
    yield
    subprocess.run(["touch", "off"], check=True)


@pytest.mark.case_name("Ripple")
def test_ripple():
    if "LONG" in os.environ:
        subprocess.run(["sleep", os.environ["LONG"]], check=True)
    hardpy.set_dut_serial_number("SN1")
    ripple = hardpy.NumericMeasurement(
        value=61.4,
        name="ripple_mv",
        unit="mV",
        operation=hardpy.ComparisonOperation.LE,
        comparison_value=50,
    )
    hardpy.set_case_measurement(ripple)
    assert ripple.result

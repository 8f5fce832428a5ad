import os
import subprocess

import pytest


@pytest.fixture(scope="module", autouse=True)
def power():
    subprocess.run(["echo", "output on"], check=True)
    yield
    subprocess.run(["touch", "off"], check=True)


@pytest.mark.testerkit_limits(ripple_mv={"high": 50, "unit": "mV"})
def test_ripple(verify):
    if "LONG" in os.environ:
        subprocess.run(["sleep", os.environ["LONG"]], check=True)
    verify("ripple_mv", 61.4)

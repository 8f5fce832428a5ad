import os
import subprocess


async def test_ripple(rig):
    if "LONG" in os.environ:
        subprocess.run(["sleep", os.environ["LONG"]], check=True)
    ripple_mv = 61.4
    assert ripple_mv <= 50, f"ripple {ripple_mv} mV, max 50 mV"

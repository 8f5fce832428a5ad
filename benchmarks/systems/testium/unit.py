import os
import subprocess


def power_on():
    subprocess.run(["echo", "output on"], check=True)


def ripple():
    if "LONG" in os.environ:
        subprocess.run(["sleep", os.environ["LONG"]], check=True)
    return 61.4


def power_off():
    subprocess.run(["touch", "off"], check=True)

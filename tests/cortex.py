"""Programs for emulated Cortex-M processors: how they are compiled and run. Used by test_cortex.py and in checkout."""

import shutil
import subprocess
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "docs/examples/cortex_m"
CC = "arm-none-eabi-gcc"
PROCESSORS = {
    "cortex-m3": ("mps2-an385", ["-mfloat-abi=soft"]),
    "cortex-m4": ("mps2-an386", ["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]),
    "cortex-m7": ("mps2-an500", ["-mfloat-abi=hard", "-mfpu=fpv5-d16"]),
}


def lacks():
    """What is not there of all that this wants, or None."""
    if not EXAMPLE.exists():
        return "no examples"
    return next((f"no {name}" for name in (CC, "qemu-system-arm") if not shutil.which(name)), None)


def emulated(program, processor):
    """Run a program; return what it prints, in lines."""
    machine = ["-M", PROCESSORS[processor][0], "-nographic", "-monitor", "none", "-serial", "none"]
    hosted = ["-semihosting-config", "enable=on,target=native", "-kernel", program]
    done = subprocess.run(
        ["qemu-system-arm", *machine, *hosted], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()

"""Freeze the `cbp` command with PyInstaller, and run it where there is no Python of ours: `make try-frozen`.

cbp is installed first, as a user has it: an editable install is no package that can be taken along. The frozen program
checks itself, trains, saves, loads, and exports C, which reads the headers that the hook takes along.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "frozen"
PROGRAM = """
import sys
import cbp.cli

if sys.argv[1:]:
    sys.exit(cbp.cli.main())
net = cbp.Network([2, 3, 1], activation="tanh", output="sigmoid", seed=0)
net.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=3)
net.save("xor.npz")
assert cbp.load("xor.npz") == net
net.export("xor.c", train=True)
print("works")
"""


def run(*command: str | Path) -> str:
    """Run a command in the folder, with nothing of this Python's environment; return what it printed, or stop."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Install, freeze, run."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "program.py").write_text(PROGRAM)
    run(
        sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--target", "installed", ROOT
    )
    run(sys.executable, "-m", "PyInstaller", "--noconfirm", "--paths", "installed", "program.py")
    program = FOLDER / "dist" / "program" / "program"
    print(run(program).strip(), run(program, "selftest").splitlines()[-1], sep="; ")


if __name__ == "__main__":
    main()

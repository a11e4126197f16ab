"""Runs the examples of a page: Python and shell blocks in one session, in one empty folder.

- ```python with >>>: a doctest. Without: a script; a ```text block right after it is what it prints.
- ```console: lines that begin with $ are run, the others are what they print. `cbp` is run in this process, but for the
  first command of a page and what a shell has to read.
- ```sh, ```c and the rest are shown, not run. Numbers may be written as ... where they cannot be known (seconds).

Called by test_docs.py and, for the page that adds a row to the library, checkout/test_new_row.py.
"""

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import clib

from cbp.cli import main

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WINDOWS = sys.platform == "win32"
OPTIONAL = {
    *("joblib", "keras", "matplotlib", "onnx", "onnxruntime", "pandas", "polars", "safetensors", "scipy", "sklearn"),
    *("tensorboardX", "threadpoolctl", "torch"),
}
"""Packages without which a page that imports them is left out."""
INSTALLED = "$(pkg-config"
"""What a page says that uses the installed C library."""
ALONE = {"cffi", "numba"}
"""Packages without which a block that imports them is left out, and no other: the page goes on without it."""
IMPLIED = {"cbp.TensorBoard(": "tensorboardX", "KERAS_BACKEND": "jax", "cbp.sklearn": "sklearn"}
"""Packages that are wanted where a page says so without an import."""


def blocks(page):
    """(language, first line, text, printed) of each block that runs, in order."""
    content = page.read_text(encoding="utf-8")
    found = [(m[1], content.count("\n", 0, m.start()) + 1, m[2]) for m in FENCE.finditer(content)]
    for (language, line, text), (follower, _, printed) in zip(found, [*found, ("", 0, "")][1:], strict=True):
        if language in ("python", "console"):
            yield language, line, text, printed if follower == "text" else None


def same(wanted, got):
    return doctest.OutputChecker().check_output(wanted, got, FLAGS)


def run_doctest(page, line, text, names):
    test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    runner.run(test, out=report.write, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, report.getvalue()


def run_script(page, line, text, printed, names):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile("\n" * line + text, str(page), "exec"), names)
    if printed is not None:
        assert same(printed, out.getvalue()), f"{page}:{line} printed\n{out.getvalue()}"


def in_shell(command):
    """Status of a command, and what it prints."""
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, shell=True, timeout=300, check=False, **out)
    return done.returncode, done.stdout


def in_process(command):
    """The same of a command of cbp, without the start of a process."""
    with io.TextIOWrapper(io.BytesIO(), encoding="utf-8") as out:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                status = main(shlex.split(command)[1:])
            except SystemExit as end:
                status = end.code
        out.flush()
        return status, out.buffer.getvalue().decode()


def run_console(page, line, text, ready, is_first):
    for sources, objects in ready.items():
        text = text.replace(sources, " ".join(objects))
    for number, part in enumerate(re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]):
        command, _, wanted = part.partition("\n")
        is_plain = command.startswith("cbp ") and not re.search(r"[|<>&;$*~`]", command)
        status, printed = (in_process if is_plain and not (is_first and number == 0) else in_shell)(command)
        where = f"{page}:{line}: {command} (status {status})"
        assert same(wanted, printed), f"{where}\n{printed}"
        assert status == (2 if "error:" in wanted else 0), where


def prepare(folder, monkeypatch):
    """Make an empty folder the working one, with the files the pages speak of, and put `cbp` on the path."""
    for example in (ROOT / "docs/examples").glob("*.*"):
        shutil.copy(example, folder)
    if not WINDOWS:
        (folder / "csrc").symlink_to(ROOT / "csrc")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("MPLBACKEND", "Agg")


def install(page, monkeypatch):
    """Install the C library, where a page builds programs with it, and tell pkg-config and the loader where it is."""
    if INSTALLED in page.read_text(encoding="utf-8"):
        for name, value in clib.environment(clib.installed()).items():
            monkeypatch.setenv(name, value)


def lacks(text, packages):
    """Those of the packages that a text imports and that are not installed."""
    imported = re.findall(r"^(?:>>> )?(?:    )*(?:import|from) (.+)", text, re.MULTILINE)
    wanted = {name for line in imported for name in re.findall(r"\w+", line)} & packages
    return {name for name in wanted if not importlib.util.find_spec(name)}


def needs(page):
    """What this machine lacks to run a page, or nothing."""
    text = page.read_text(encoding="utf-8")
    if WINDOWS and "```console" in text:
        return "the page's commands are for a POSIX shell"
    if re.search(r"^\$ cc ", text, re.MULTILINE) and not shutil.which("cc"):
        return "no C compiler called cc"
    if INSTALLED in text and (lacking := clib.lacks("pkg-config", "c++")):
        return lacking
    wanted = set(re.findall(r"^(?:>>> )?(?:    )*(?:import|from) (\w+)", text, re.MULTILINE)) & OPTIONAL
    wanted |= {package for word, package in IMPLIED.items() if word in text}
    missing = sorted(name for name in wanted if not importlib.util.find_spec(name))
    return f"no {', '.join(missing)}" if missing else None


def run_page(page, ready):
    """Run every block of a page. ready: source files in its commands, and the objects that stand for them."""
    names = {"__name__": "__main__"}
    is_first = True
    try:
        for language, line, text, printed in blocks(page):
            if language == "console":
                run_console(page, line, text, ready, is_first)
                is_first = False
            elif lacks(text, ALONE):
                continue
            elif ">>>" in text:
                run_doctest(page, line, text, names)
            else:
                run_script(page, line, text, printed, names)
    finally:
        if pyplot := sys.modules.get("matplotlib.pyplot"):
            pyplot.close("all")

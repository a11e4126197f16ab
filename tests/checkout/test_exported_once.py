"""What the tests compile once for all runs (exported_once.py) is compiled anew when anything that goes in changes."""

import exported_once
import pytest
from exported import needs
from exported_once import compiled_once, keep

COMMAND = ["gcc", "-O0", "-I.", "-c", "a.c", "-o", "a.o"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with a text and two headers, one of which includes the other."""
    needs("gcc")
    monkeypatch.setattr(exported_once, "KEPT", tmp_path / "kept")
    work = tmp_path / "work"
    (work / "far").mkdir(parents=True)
    monkeypatch.chdir(work)
    (work / "a.c").write_text('#include "near.h"\nint a = NEAR;\n')
    (work / "near.h").write_text('#include "far/far.h"\n#define NEAR FAR\n')
    (work / "far/far.h").write_text("#define FAR 1\n")
    return work


def kept():
    """How many products there are."""
    return len(list(exported_once.KEPT.glob("*")))


def made(command=COMMAND):
    """The object that a command makes."""
    done = compiled_once(command)
    assert done.returncode == 0, done.stderr.decode()
    with open("a.o", "rb") as file:
        return file.read()


def test_the_same_is_compiled_once(folder, monkeypatch):
    first = made()
    (folder / "a.o").unlink()
    monkeypatch.setattr(exported_once.subprocess, "run", None)  # now nothing can be run
    assert made() == first
    assert kept() == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.c", '#include "near.h"\nint a = NEAR + 1;\n'),
        ("near.h", '#include "far/far.h"\n#define NEAR (FAR + 1)\n'),
        ("far/far.h", "#define FAR 2\n"),
        ("far.h", "#define FAR 2\n"),
    ],
)
def test_a_changed_text_is_compiled_anew(folder, name, text):
    (folder / "near.h").write_text('#include "far/far.h"\n#include <far.h>\n#define NEAR FAR\n')
    (folder / "far.h").write_text("\n")
    first, before = made(), (folder / name).read_text()
    (folder / name).write_text(text if name != "far.h" else f"#undef FAR\n{text}")
    assert made() != first
    (folder / name).write_text(before)
    assert made() == first
    assert kept() == 2


@pytest.mark.parametrize("flag", ["-O1", "-DFAR=3", "-march=native"])
def test_another_flag_is_compiled_anew(folder, flag):
    made()
    made([*COMMAND[:2], flag, *COMMAND[2:]])
    assert kept() == 2


def test_another_compiler_or_environment_compiles_anew(folder, monkeypatch):
    script = folder / "mygcc"
    for number in (1, 20):
        script.write_text(f'#!/bin/sh\nexec gcc -DFAR={number} "$@"\n')
        script.chmod(0o755)
        exported_once.compiler.cache_clear()  # a process of the tests looks once
        made([script, *COMMAND[1:]])
    assert kept() == 2
    monkeypatch.setenv("CPATH", str(folder))
    made([script, *COMMAND[1:]])
    assert kept() == 3


def test_a_changed_object_or_script_is_linked_anew(folder):
    (folder / "script").write_text("SECTIONS { }\n")
    link = ["gcc", "-nostdlib", "-r", "-Tscript", "a.o", "-o", "b.o"]
    made()
    assert compiled_once(link).returncode == 0
    (folder / "script").write_text("SECTIONS { .data : { *(.data) } }\n")
    assert compiled_once(link).returncode == 0
    assert kept() == 3
    made([*COMMAND[:1], "-DMORE=1", "-g", *COMMAND[1:]])
    assert compiled_once(link).returncode == 0
    assert kept() == 5


def test_complaints_are_kept_and_failures_are_not(folder):
    (folder / "a.c").write_text("#warning so\nint a;\n")
    said = [compiled_once(COMMAND) for _ in range(2)]
    assert kept() == 1
    assert [b"so" in done.stderr for done in said] == [True, True]
    (folder / "a.c").write_text("int a\n")
    assert compiled_once(COMMAND).returncode == compiled_once(COMMAND).returncode != 0
    assert kept() == 1


def test_what_is_not_seen_is_not_kept(folder):
    (folder / "a.c").write_text('#define THAT "near.h"\n#include THAT\nint a = NEAR;\n')
    made()
    (folder / "a.c").write_text("int a;\n")
    made([*COMMAND[:2], "-isystem", "far", *COMMAND[2:]])
    assert kept() == 0


def test_of_two_at_once_the_first_is_kept(folder):
    for name in ("one", "other"):
        (folder / name).mkdir()
        (folder / name / "a.o").write_text(name)
        keep(folder / name, folder / "there")
    assert (folder / "there/a.o").read_text() == "one"

"""What GitHub runs builds every wheel that is promised, once, and takes nothing from others but by its commit."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def identifiers():
    """Return the list of wheels that are promised."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import identifiers
    finally:
        sys.path.pop(0)
    return identifiers


def used():
    """Yield (file, action, what comes after the @) of every step and job that is somebody else's."""
    for path in WORKFLOWS:
        for name, version in re.findall(r"^ *(?:- )?uses: ([^@\s]+)(?:@(.+))?$", path.read_text(), re.MULTILINE):
            if not name.startswith("$/"):
                yield path.name, name, version


def test_actions_are_pinned_by_commit_the_same_everywhere():
    pins = {}
    for file, name, version in used():
        assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", version), f"{file}: {name}@{version}"
        pins.setdefault(name, set()).add(version)
    assert all(len(versions) == 1 for versions in pins.values()), pins
    assert {"actions/checkout", "pypa/gh-action-pypi-publish", "actions/attest"} <= pins.keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_given_job_by_job(path):
    text = path.read_text()
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    jobs = re.split(r"^  (?=[a-z-]+:\n)", text[text.index("\njobs:\n") :], flags=re.MULTILINE)[1:]
    for job in jobs:
        name = job.partition(":")[0]
        assert re.search(r"^    permissions:", job, re.MULTILINE), name
        assert re.search(r"^    (timeout-minutes|uses):", job, re.MULTILINE), name
        assert not re.search(r"\b(actions/cache|cache:|secrets\.)", job), name
    writes = set(re.findall(r"^ +([a-z-]+): write", text, re.MULTILINE))
    assert writes <= ({"id-token", "attestations", "contents"} if path.name == "release.yml" else set())


def test_what_is_checked_out_holds_no_password():
    for path in WORKFLOWS:
        text = path.read_text()
        assert text.count("actions/checkout@") == text.count("persist-credentials: false"), path.name


def test_the_jobs_build_every_wheel_once(identifiers):
    text = (ROOT / ".github/workflows/wheels.yml").read_text()
    native = re.findall(r"- \{ os: ([a-z]+)-[\w.-]+, archs: (\w+) \}", text)
    emulated = re.search(r"archs: \[(.+)\]\n +python: \[(.+)\]", text)
    assert emulated
    systems = {"ubuntu": ("manylinux", "musllinux"), "macos": ("macosx",), "windows": ("win",)}
    ends = [f"{system}_{cpu.lower()}" for os, cpu in native for system in systems[os]]
    ends += [f"{system}_{cpu}" for cpu in emulated[1].split(", ") for system in systems["ubuntu"]]
    promised = [end for platform, names in identifiers.PLATFORMS.items() if platform != "pyodide" for end in names]
    assert sorted(ends) == sorted(promised)
    assert emulated[2].split(", ") == [identifiers.ABI3, *identifiers.FREE_THREADED]
    assert text.count("CIBW_PLATFORM: pyodide") == 1


def test_the_promised_wheels_are_those_of_the_configuration(identifiers):
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    pythons = [f"{python}-*" for python in (identifiers.ABI3, *identifiers.FREE_THREADED)]
    assert table["build"].split() == [*pythons, f"{identifiers.PYODIDE}-pyodide_wasm32"]
    assert sum(len(identifiers.wanted(platform)) for platform in identifiers.PLATFORMS) == 37


def test_every_make_target_that_is_called_exists():
    makefiles = [ROOT / "Makefile", *ROOT.glob("packaging/*.mk")]
    targets = {name for path in makefiles for name in re.findall(r"^([a-z-]+):", path.read_text(), re.MULTILINE)}
    called = {name for path in WORKFLOWS for name in re.findall(r"run: make ([a-z-]+)", path.read_text())}
    assert {"test", "try-frozen"} <= called
    assert called <= targets

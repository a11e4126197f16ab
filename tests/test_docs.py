"""Every example in README.md and docs/ runs (see pages.py), and every link leads somewhere."""

import re

import pytest
from _c_programs import library
from pages import ROOT, blocks, install, needs, prepare, run_page

PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])
ELSEWHERE = [
    ROOT / "docs/howto/activation.md",
    ROOT / "docs/embed/cython.md",
]  # checkout/test_new_row.py, test_cython.py
SOURCES = "csrc/*.c csrc/kern/*.c"


def label(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if any(blocks(p)) and p not in ELSEWHERE], ids=label)
def test_page_runs(page, tmp_path, monkeypatch):
    if reason := needs(page):
        pytest.skip(reason)
    prepare(tmp_path, monkeypatch)
    install(page, monkeypatch)
    run_page(page, {SOURCES: library()[1]} if SOURCES in page.read_text(encoding="utf-8") else {})


def test_the_files_that_pages_compile_are_the_whole_library():
    assert sorted(file for glob in SOURCES.split() for file in ROOT.glob(glob)) == sorted(ROOT.glob("csrc/**/*.c"))


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=label)
@pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="these are the tests of a wheel, not a checkout")
def test_links_lead_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert missing == []

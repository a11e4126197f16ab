"""Draw the pictures of docs/guide/pictures.md by the code that stands there.

    python tools/draw_pictures.py

Every block of the page runs, in order; a picture is kept where the page shows one: the next image after the block that
draws it. Needs scikit-learn and matplotlib, as `pip install "cbpnet[demo]"` brings them.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide" / "pictures.md"
PARTS = re.compile(r"^```python\n(.*?)^```$|^!\[[^\]]*\]\(([^)]+)\)$", re.MULTILINE | re.DOTALL)
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.dpi": 100,
    "savefig.dpi": 110,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "cbp",
}


def run(block: str, names: dict[str, Any]) -> None:
    """Run the examples of a block as a reader would."""
    for example in doctest.DocTestParser().get_examples(block):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(example.source, PAGE.name, "single"), names)


def keep(names: dict[str, Any], path: Path) -> None:
    """Keep the figure of what the last block has called `ax` or `axes`."""
    drawn = np.ravel(np.asarray(names.pop("axes", names.get("ax")), object))[0]
    bare = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    drawn.figure.savefig(path, metadata=bare)
    if path.suffix == ".png":  # 256 colours are enough, and half the bytes
        with Image.open(path) as image:
            image.convert("RGB").quantize(256).save(path, optimize=True)
    plt.close("all")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def main() -> None:
    """Draw all of them."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), plt.rc_context(STYLE):
        for block, picture in PARTS.findall(PAGE.read_text(encoding="utf-8")):
            if picture:
                path = (PAGE.parent / picture).resolve()
                path.parent.mkdir(parents=True, exist_ok=True)
                keep(names, path)
            else:
                run(block, names)


if __name__ == "__main__":
    main()

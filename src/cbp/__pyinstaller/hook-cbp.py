"""What PyInstaller takes into a program that imports cbp, beside what it sees in the text.

Modules that cbp imports by name on use, and the headers that exported C is made of. Optional packages stay the
program's own affair: it names those it uses (``--hidden-import``). Run by PyInstaller; nothing else imports it.
"""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]

hiddenimports = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if Path(__file__).parent not in path.parents
]
datas = [(str(PACKAGE / "include"), "cbp/include")] if (PACKAGE / "include").is_dir() else []

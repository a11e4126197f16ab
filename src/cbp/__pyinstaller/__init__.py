"""Where PyInstaller finds how cbp is frozen into a program: an entry point of the distribution names this package."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder of hook-cbp.py."""
    return [str(Path(__file__).parent)]

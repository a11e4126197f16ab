"""The pool of threads as threadpoolctl sees it: `threadpool_limits(1)` holds for cbp too.

Registered where threadpoolctl is imported already; nothing of it is imported for its own sake. Called by threads.py.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from cbp import _core


def announce() -> None:
    """Register with threadpoolctl, once, if somebody uses it."""
    if "threadpoolctl" in sys.modules:
        _register()


@functools.cache
def _register() -> None:
    threadpoolctl = sys.modules["threadpoolctl"]
    register = getattr(threadpoolctl, "register", None)  # not in versions before 3.4, nor in one that is half imported
    if register is not None:
        register(_controller(threadpoolctl.LibController))


def _controller(base: Any) -> Any:
    """Return the class that threadpoolctl makes an object of for every library whose name fits."""

    class Controller(base):  # type: ignore[misc]
        user_api = internal_api = "cbp"
        filename_prefixes = ("_core",)
        check_symbols = ("PyInit__core",)

        def get_num_threads(self) -> int:
            return _core.threads()

        def set_num_threads(self, num_threads: int) -> None:
            _core.threads(min(max(num_threads, 1), _core.MAX_THREADS))

        def get_version(self) -> str:
            return _core.version()

        def set_additional_attributes(self) -> None:
            """Give up a library of the same name that is not ours: without dynlib it has no symbol to be known by."""
            if not os.path.samefile(self.filepath, _core.__file__):
                self.dynlib = None

    return Controller

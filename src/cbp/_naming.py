"""Names of inputs and classes, which `Network.metadata` may have: pictures and bridges show them where they fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def names_in(metadata: Mapping[str, Any], key: str, count: int) -> list[str]:
    """Return the names under "features" or "classes"; none where there are not as many as it takes."""
    given = metadata.get(key)
    if not isinstance(given, (list, tuple)) or len(given) != count:
        return []
    return [str(name) for name in given]

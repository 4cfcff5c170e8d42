"""What a name on the Hugging Face hub looks like."""

from __future__ import annotations

import re

_HUB_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


def is_hub_name(name: str) -> bool:
    """Whether the hub could have something of this name: ``org/name`` or ``name``.

    Paths such as ``./model``, ``a/b/c`` or ``C:\\model`` are no hub names. That a folder of the same name may
    exist is not looked at.
    """
    legal = _HUB_NAME.fullmatch(name) is not None and "--" not in name and ".." not in name
    return legal and len(name) <= 96 and not name.endswith((".git", "-", "."))

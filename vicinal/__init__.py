"""Vicinal turns sentences into vectors and puts them to work.

Importing it is cheap: every public name is loaded when it is first used (PEP 562).
"""

from vicinal.core.lazy import attach as _attach
from vicinal.core.version import __version__ as __version__

__getattr__, __dir__, __all__ = _attach(__name__, __spec__, star_with_torch=False)

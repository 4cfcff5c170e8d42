"""Found first on the path of every process that ``vicinal run`` starts: the name then means Vicinal there too."""

from __future__ import annotations

import importlib
import sys

from vicinal.compat import install_as_sentence_transformers

sys.modules.pop(__name__, None)
install_as_sentence_transformers(replace=True)
sys.modules[__name__] = importlib.import_module(__name__)

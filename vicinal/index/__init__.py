"""An index in one file: texts, metadata, words and vectors, searched together.

:class:`Index` is the way in; the other names are what it takes and gives.
"""

from vicinal.index.index import Index
from vicinal.index.rescue import SalvageReport, salvage, verify
from vicinal.index.results import Document, Hit, Hits, IndexInfo, Passage, Ranked, SearchReport, VerifyReport
from vicinal.index.retrievers import Mode

__all__ = [
    "Document",
    "Hit",
    "Hits",
    "Index",
    "IndexInfo",
    "Mode",
    "Passage",
    "Ranked",
    "SalvageReport",
    "SearchReport",
    "VerifyReport",
    "salvage",
    "verify",
]

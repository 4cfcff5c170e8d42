"""The models as torch modules."""

from vicinal.models.as_torch import CrossEncoder as CrossEncoder
from vicinal.models.as_torch import SentenceTransformer as SentenceTransformer

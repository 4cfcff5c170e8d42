from vicinal import cross_encoder as cross_encoder
from vicinal import datasets as datasets
from vicinal import evaluation as evaluation
from vicinal import losses as losses
from vicinal import models as models
from vicinal import readers as readers
from vicinal import util as util
from vicinal.compat import install_as_sentence_transformers as install_as_sentence_transformers
from vicinal.core.version import __version__ as __version__
from vicinal.errors import VicinalError as VicinalError
from vicinal.index import Index as Index
from vicinal.index.pipeline import SearchPipeline as SearchPipeline
from vicinal.models.cross_encoder import CrossEncoder as CrossEncoder
from vicinal.models.sentence_transformer import SentenceTransformer as SentenceTransformer
from vicinal.nn.training.cross_encoder import CrossEncoderTrainer as CrossEncoderTrainer
from vicinal.nn.training.cross_encoder import CrossEncoderTrainingArguments as CrossEncoderTrainingArguments
from vicinal.nn.training.sentence_transformer import SentenceTransformerTrainer as SentenceTransformerTrainer
from vicinal.nn.training.sentence_transformer import (
    SentenceTransformerTrainingArguments as SentenceTransformerTrainingArguments,
)
from vicinal.readers.input_example import InputExample as InputExample
from vicinal.util.dataset import resolve_ids as resolve_ids
from vicinal.util.hard_negatives import mine_hard_negatives as mine_hard_negatives
from vicinal.vectors.quantization import quantize_embeddings as quantize_embeddings
from vicinal.vectors.similarity import SimilarityFunction as SimilarityFunction

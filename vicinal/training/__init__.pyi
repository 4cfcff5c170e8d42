from vicinal.nn.training.arguments import BatchSamplers as BatchSamplers
from vicinal.nn.training.arguments import MultiDatasetBatchSamplers as MultiDatasetBatchSamplers
from vicinal.nn.training.arguments import (
    SentenceTransformerTrainingArguments as SentenceTransformerTrainingArguments,
)
from vicinal.nn.training.collator import SentenceTransformerDataCollator as SentenceTransformerDataCollator
from vicinal.nn.training.samplers import DefaultBatchSampler as DefaultBatchSampler
from vicinal.nn.training.samplers import GroupByLabelBatchSampler as GroupByLabelBatchSampler
from vicinal.nn.training.samplers import MultiDatasetDefaultBatchSampler as MultiDatasetDefaultBatchSampler
from vicinal.nn.training.samplers import NoDuplicatesBatchSampler as NoDuplicatesBatchSampler
from vicinal.nn.training.samplers import ProportionalBatchSampler as ProportionalBatchSampler
from vicinal.nn.training.samplers import RoundRobinBatchSampler as RoundRobinBatchSampler
from vicinal.nn.training.trainer import SentenceTransformerTrainer as SentenceTransformerTrainer

from vicinal.cross_encoder import evaluation as evaluation
from vicinal.cross_encoder import losses as losses
from vicinal.cross_encoder import trainer as trainer
from vicinal.models.cross_encoder import CrossEncoder as CrossEncoder
from vicinal.nn.training.cross_encoder import CrossEncoderTrainer as CrossEncoderTrainer
from vicinal.nn.training.cross_encoder import CrossEncoderTrainingArguments as CrossEncoderTrainingArguments

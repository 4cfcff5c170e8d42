from vicinal.nn.losses.cross_encoder.base import CrossEncoderLoss as CrossEncoderLoss
from vicinal.nn.losses.cross_encoder.margin import MarginMSELoss as MarginMSELoss
from vicinal.nn.losses.cross_encoder.pairs import BinaryCrossEntropyLoss as BinaryCrossEntropyLoss
from vicinal.nn.losses.cross_encoder.pairs import CrossEntropyLoss as CrossEntropyLoss
from vicinal.nn.losses.cross_encoder.pairs import MSELoss as MSELoss
from vicinal.nn.losses.cross_encoder.ranking import (
    CachedMultipleNegativesRankingLoss as CachedMultipleNegativesRankingLoss,
)
from vicinal.nn.losses.cross_encoder.ranking import (
    MultipleNegativesRankingLoss as MultipleNegativesRankingLoss,
)

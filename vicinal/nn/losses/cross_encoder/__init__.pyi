from vicinal.nn.losses.cross_encoder.base import CrossEncoderLoss as CrossEncoderLoss
from vicinal.nn.losses.cross_encoder.likelihood import ListMLELoss as ListMLELoss
from vicinal.nn.losses.cross_encoder.likelihood import ListNetLoss as ListNetLoss
from vicinal.nn.losses.cross_encoder.likelihood import PListMLELambdaWeight as PListMLELambdaWeight
from vicinal.nn.losses.cross_encoder.likelihood import PListMLELoss as PListMLELoss
from vicinal.nn.losses.cross_encoder.list_pairs import LambdaLoss as LambdaLoss
from vicinal.nn.losses.cross_encoder.list_pairs import RankNetLoss as RankNetLoss
from vicinal.nn.losses.cross_encoder.lists import ListwiseLoss as ListwiseLoss
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
from vicinal.nn.losses.cross_encoder.ranks import ADRMSELoss as ADRMSELoss
from vicinal.nn.losses.cross_encoder.weighting import BaseWeightingScheme as BaseWeightingScheme
from vicinal.nn.losses.cross_encoder.weighting import LambdaRankScheme as LambdaRankScheme
from vicinal.nn.losses.cross_encoder.weighting import NDCGLoss1Scheme as NDCGLoss1Scheme
from vicinal.nn.losses.cross_encoder.weighting import NDCGLoss2PPScheme as NDCGLoss2PPScheme
from vicinal.nn.losses.cross_encoder.weighting import NDCGLoss2Scheme as NDCGLoss2Scheme
from vicinal.nn.losses.cross_encoder.weighting import NoWeightingScheme as NoWeightingScheme

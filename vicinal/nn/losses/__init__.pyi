from vicinal.nn.losses.adaptive_layer import AdaptiveLayerLoss as AdaptiveLayerLoss
from vicinal.nn.losses.adaptive_layer import Matryoshka2dLoss as Matryoshka2dLoss
from vicinal.nn.losses.base import Loss as Loss
from vicinal.nn.losses.batch_triplets import BatchAllTripletLoss as BatchAllTripletLoss
from vicinal.nn.losses.batch_triplets import BatchHardSoftMarginTripletLoss as BatchHardSoftMarginTripletLoss
from vicinal.nn.losses.batch_triplets import BatchHardTripletLoss as BatchHardTripletLoss
from vicinal.nn.losses.batch_triplets import BatchSemiHardTripletLoss as BatchSemiHardTripletLoss
from vicinal.nn.losses.cached import CachedMultipleNegativesRankingLoss as CachedMultipleNegativesRankingLoss
from vicinal.nn.losses.cached import (
    CachedMultipleNegativesSymmetricRankingLoss as CachedMultipleNegativesSymmetricRankingLoss,
)
from vicinal.nn.losses.classes import SoftmaxLoss as SoftmaxLoss
from vicinal.nn.losses.contrastive_tension import ContrastiveTensionDataLoader as ContrastiveTensionDataLoader
from vicinal.nn.losses.contrastive_tension import ContrastiveTensionLoss as ContrastiveTensionLoss
from vicinal.nn.losses.contrastive_tension import (
    ContrastiveTensionLossInBatchNegatives as ContrastiveTensionLossInBatchNegatives,
)
from vicinal.nn.losses.denoising import DenoisingAutoEncoderLoss as DenoisingAutoEncoderLoss
from vicinal.nn.losses.distances import (
    BatchHardTripletLossDistanceFunction as BatchHardTripletLossDistanceFunction,
)
from vicinal.nn.losses.distances import SiameseDistanceMetric as SiameseDistanceMetric
from vicinal.nn.losses.distances import TripletDistanceMetric as TripletDistanceMetric
from vicinal.nn.losses.distillation import DistillKLDivLoss as DistillKLDivLoss
from vicinal.nn.losses.distillation import MarginMSELoss as MarginMSELoss
from vicinal.nn.losses.guided import CachedGISTEmbedLoss as CachedGISTEmbedLoss
from vicinal.nn.losses.guided import GISTEmbedLoss as GISTEmbedLoss
from vicinal.nn.losses.matryoshka import MatryoshkaLoss as MatryoshkaLoss
from vicinal.nn.losses.mega_batch import MegaBatchMarginLoss as MegaBatchMarginLoss
from vicinal.nn.losses.orthogonal import (
    GlobalOrthogonalRegularizationLoss as GlobalOrthogonalRegularizationLoss,
)
from vicinal.nn.losses.pairs import ContrastiveLoss as ContrastiveLoss
from vicinal.nn.losses.pairs import OnlineContrastiveLoss as OnlineContrastiveLoss
from vicinal.nn.losses.pairs import TripletLoss as TripletLoss
from vicinal.nn.losses.ranking import MultipleNegativesRankingLoss as MultipleNegativesRankingLoss
from vicinal.nn.losses.ranking import (
    MultipleNegativesSymmetricRankingLoss as MultipleNegativesSymmetricRankingLoss,
)
from vicinal.nn.losses.scores import AnglELoss as AnglELoss
from vicinal.nn.losses.scores import CoSENTLoss as CoSENTLoss
from vicinal.nn.losses.scores import CosineSimilarityLoss as CosineSimilarityLoss
from vicinal.nn.losses.teacher_embeddings import EmbedDistillLoss as EmbedDistillLoss
from vicinal.nn.losses.teacher_embeddings import MSELoss as MSELoss

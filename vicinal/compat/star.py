"""What ``from sentence_transformers.<submodule> import *`` gives in the release whose names are offered."""

from __future__ import annotations

_NAMES = {
    "": """
        CrossEncoder CrossEncoderModelCardData CrossEncoderTrainer CrossEncoderTrainingArguments
        DefaultBatchSampler InputExample LoggingHandler MultiDatasetDefaultBatchSampler
        MultiVectorEncoder MultiVectorEncoderModelCardData MultiVectorEncoderTrainer
        MultiVectorEncoderTrainingArguments ParallelSentencesDataset SentenceTransformer
        SentenceTransformerModelCardData SentenceTransformerTrainer SentenceTransformerTrainingArguments
        SentencesDataset SimilarityFunction SparseEncoder SparseEncoderModelCardData
        SparseEncoderTrainer SparseEncoderTrainingArguments export_dynamic_quantized_onnx_model
        export_optimized_onnx_model export_static_quantized_openvino_model mine_hard_negatives
        quantize_embeddings resolve_ids
    """,
    "base": """
        BaseDataCollator BaseModel BaseTrainer BaseTrainingArguments BatchSamplers DefaultBatchSampler
        GroupByLabelBatchSampler MultiDatasetBatchSamplers MultiDatasetDefaultBatchSampler
        NoDuplicatesBatchSampler PeftAdapterMixin ProportionalBatchSampler RoundRobinBatchSampler
    """,
    "base.evaluation": """
        BaseEvaluator SentenceEvaluator SequentialEvaluator
    """,
    "base.losses": """
        CachedLossMixin RandContext column_merging_disabled has_static_embedding_input
        uses_gradient_cache
    """,
    "base.modules": """
        Dense InputModule Module Normalize Router Transformer
    """,
    "base.sampler": """
        BatchSamplers DefaultBatchSampler GroupByLabelBatchSampler MultiDatasetBatchSamplers
        MultiDatasetDefaultBatchSampler NoDuplicatesBatchSampler ProportionalBatchSampler
        RoundRobinBatchSampler
    """,
    "cross_encoder": """
        CrossEncoder CrossEncoderDataCollator CrossEncoderModelCardData CrossEncoderTrainer
        CrossEncoderTrainingArguments
    """,
    "cross_encoder.evaluation": """
        CEBinaryAccuracyEvaluator CEBinaryClassificationEvaluator CECorrelationEvaluator CEF1Evaluator
        CERerankingEvaluator CESoftmaxAccuracyEvaluator CrossEncoderClassificationEvaluator
        CrossEncoderCorrelationEvaluator CrossEncoderNanoBEIREvaluator CrossEncoderRerankingEvaluator
    """,
    "cross_encoder.losses": """
        ADRMSELoss BinaryCrossEntropyLoss CachedMultipleNegativesRankingLoss CrossEntropyLoss LambdaLoss
        LambdaRankScheme ListMLELoss ListNetLoss MSELoss MarginMSELoss MultipleNegativesRankingLoss
        NDCGLoss1Scheme NDCGLoss2PPScheme NDCGLoss2Scheme NoWeightingScheme PListMLELambdaWeight
        PListMLELoss RankNetLoss
    """,
    "cross_encoder.modules": """
        Asym Dense InputModule LogitScore Module Router Transformer
    """,
    "multi_vector_encoder": """
        MultiVectorEncoder MultiVectorEncoderDataCollator MultiVectorEncoderModelCardData
        MultiVectorEncoderTrainer MultiVectorEncoderTrainingArguments maxsim maxsim_pairwise
    """,
    "multi_vector_encoder.evaluation": """
        MultiVectorDistillationEvaluator MultiVectorInformationRetrievalEvaluator
        MultiVectorNanoBEIREvaluator MultiVectorRerankingEvaluator MultiVectorTripletEvaluator
    """,
    "multi_vector_encoder.interpretability": """
        get_n_patches maxsim_heatmap maxsim_similarity_map real_query_token_slice
        render_similarity_map_on_image
    """,
    "multi_vector_encoder.losses": """
        CachedMultiVectorMultipleNegativesRankingLoss MultiVectorDistillKLDivLoss
        MultiVectorMarginMSELoss MultiVectorMultipleNegativesRankingLoss
    """,
    "multi_vector_encoder.modules": """
        BaseTokenPooling HierarchicalTokenPooling LambdaTokenPooling MultiVectorMask
    """,
    "multi_vector_encoder.scoring": """
        XTRKDScores XTRScores colbert_kd_scores colbert_scores colbert_scores_pairwise
        mean_colbert_kd_scores mean_colbert_scores mean_colbert_scores_pairwise xtr_kd_scores xtr_scores
        xtr_scores_pairwise
    """,
    "sentence_transformer": """
        SentenceTransformer SentenceTransformerDataCollator SentenceTransformerModelCardData
        SentenceTransformerTrainer SentenceTransformerTrainingArguments
    """,
    "sentence_transformer.datasets": """
        DenoisingAutoEncoderDataset NoDuplicatesDataLoader ParallelSentencesDataset SentenceLabelDataset
        SentencesDataset
    """,
    "sentence_transformer.evaluation": """
        BaseEvaluator BinaryClassificationEvaluator EmbeddingSimilarityEvaluator
        InformationRetrievalEvaluator LabelAccuracyEvaluator MSEEvaluator MSEEvaluatorFromDataFrame
        NanoBEIREvaluator ParaphraseMiningEvaluator RerankingEvaluator SentenceEvaluator
        SequentialEvaluator SimilarityFunction TranslationEvaluator TripletEvaluator
    """,
    "sentence_transformer.losses": """
        AdaptiveLayerLoss AnglELoss BatchAllTripletLoss BatchHardSoftMarginTripletLoss
        BatchHardTripletLoss BatchHardTripletLossDistanceFunction BatchSemiHardTripletLoss
        CachedGISTEmbedLoss CachedMultipleNegativesRankingLoss
        CachedMultipleNegativesSymmetricRankingLoss CoSENTLoss ContrastiveLoss
        ContrastiveTensionDataLoader ContrastiveTensionLoss ContrastiveTensionLossInBatchNegatives
        CosineSimilarityLoss DenoisingAutoEncoderLoss DistillKLDivLoss EmbedDistillLoss GISTEmbedLoss
        GlobalOrthogonalRegularizationLoss MSELoss MarginMSELoss Matryoshka2dLoss MatryoshkaLoss
        MegaBatchMarginLoss MultipleNegativesRankingLoss MultipleNegativesSymmetricRankingLoss
        OnlineContrastiveLoss SiameseDistanceMetric SoftmaxLoss TripletDistanceMetric TripletLoss
    """,
    "sentence_transformer.modules": """
        Asym BoW CLIPModel CNN Dense Dropout InputModule LSTM LayerNorm Module Normalize Pooling Router
        StaticEmbedding Transformer WeightedLayerPooling WordEmbeddings WordWeights
    """,
    "sentence_transformer.modules.tokenizer": """
        ENGLISH_STOP_WORDS PhraseTokenizer TransformersTokenizerWrapper WhitespaceTokenizer
        WordTokenizer
    """,
    "sentence_transformer.readers": """
        InputExample LabelSentenceReader NLIDataReader PairedFilesReader STSBenchmarkDataReader
        STSDataReader TripletReader
    """,
    "sentence_transformer.training_args": """
        BatchSamplers MultiDatasetBatchSamplers SentenceTransformerTrainingArguments
    """,
    "sparse_encoder": """
        SparseEncoder SparseEncoderDataCollator SparseEncoderModelCardData SparseEncoderTrainer
        SparseEncoderTrainingArguments
    """,
    "sparse_encoder.callbacks": """
        SchedulerType SpladeRegularizerWeightSchedulerCallback
    """,
    "sparse_encoder.evaluation": """
        ReciprocalRankFusionEvaluator SparseBinaryClassificationEvaluator
        SparseEmbeddingSimilarityEvaluator SparseInformationRetrievalEvaluator SparseMSEEvaluator
        SparseNanoBEIREvaluator SparseRerankingEvaluator SparseTranslationEvaluator
        SparseTripletEvaluator
    """,
    "sparse_encoder.losses": """
        CSRLoss CSRReconstructionLoss CachedSpladeLoss FlopsLoss SparseAnglELoss SparseCoSENTLoss
        SparseCosineSimilarityLoss SparseDistillKLDivLoss SparseMSELoss SparseMarginMSELoss
        SparseMultipleNegativesRankingLoss SparseTripletLoss SpladeLoss
    """,
    "sparse_encoder.modules": """
        Asym Dense InputModule MLMTransformer Module Router SparseAutoEncoder SparseStaticEmbedding
        SpladePooling Transformer
    """,
    "util": """
        LoggingHandler ORIGINAL_TRANSFORMER_MODELS SimilarityFunction _convert_to_batch
        _convert_to_batch_tensor _convert_to_tensor _move_tensors_to_cpu all_gather all_gather_padded
        all_gather_with_grad append_to_last_row batch_to_device cat_padded_token_embeddings
        check_package_availability check_teacher_targets check_version_requirements community_detection
        compute_count_vector cos_sim disable_datasets_caching disable_logging disabled_tqdm dot_score
        euclidean_sim fullname get_device_name get_rank get_world_size http_get import_from_string
        import_module_class information_retrieval install_logger is_accelerate_available
        is_datasets_available is_dist_initialized is_sentence_transformer_model is_training_available
        load_dir_path load_file_path manhattan_sim maxsim maxsim_pairwise mean_maxsim
        mean_maxsim_pairwise mine_hard_negatives normalize_embeddings pairwise_angle_sim
        pairwise_cos_sim pairwise_dot_score pairwise_euclidean_sim pairwise_manhattan_sim
        paraphrase_mining paraphrase_mining_embeddings pytorch_cos_sim quantize_embeddings
        repad_flattened_features resolve_ids save_to_hub_args_decorator select_max_active_dims
        semantic_search similarity_fct_name stack_padded_token_embeddings to_scipy_coo
        truncate_embeddings
    """,
}
# The layouts before: the same names by a shorter path.
_OLDER = {
    "datasets": "sentence_transformer.datasets",
    "evaluation": "sentence_transformer.evaluation",
    "losses": "sentence_transformer.losses",
    "models": "sentence_transformer.modules",
    "readers": "sentence_transformer.readers",
    "sampler": "base.sampler",
    "training_args": "sentence_transformer.training_args",
}


def listed(path: str) -> list[str] | None:
    """The names of a submodule there; None for one that does not list its names.

    Args:
        path: the submodule without the package's name, ``""`` for the package itself.
    """
    found = _NAMES.get(_OLDER.get(path, path))
    return None if found is None else found.split()

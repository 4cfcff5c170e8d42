"""What is not here as in sentence-transformers, for tests/compat/test_signatures.py: reason -> where.

Where: ``submodule:Name``, ``submodule:Class.member`` or ``submodule:Class.member(parameter)``, with ``*`` for any text.
"""

from __future__ import annotations

_WHERE: dict[str, str] = {
    "the card is written from what the trainer records (model.training_record), not from a template": """
        *ModelCardData.*
        *ModelCardCallback
        base.model_card:format_*
        base.model_card:get_losses
        sentence_transformers.sentence_transformer.deprecated_model_card_templates
    """,
    "'auto' takes the engine that is fastest and runs torch where it has to": """
        :CrossEncoder(backend)
        :SentenceTransformer(backend)
    """,
    "inputs= is taken for sentences=": """
        :*code(inputs)
        :*code_query(inputs)
        :*code_document(inputs)
        :CrossEncoder.predict(inputs)
    """,
    "None means True where the device multiplies in bfloat16": """
        *.fit(use_amp)
    """,
    "text only: images, sound, video and chats are refused by name": """
        sentence_transformers.base.modality
        sentence_transformers.base.modality_types
        base.modules.transformer:ModalityParams
        base.modules:Transformer(modality_config)
        base.modules:Transformer.infer_modalities*
        sentence_transformer.modules:CLIPModel
    """,
    "Vicinal has no encoders of this kind (UnsupportedModelError says so)": """
        :Sparse*
        :MultiVector*
        util:*maxsim*
    """,
    "Vicinal writes no ONNX files; model.quantize() gives int8 models": """
        :export_*
        backend:*
    """,
    "the wider set of losses, data sets and evaluators comes with an issue of its own": """
        sentence_transformer.losses:Denoising*
        sentence_transformer.datasets:*
        sentence_transformer.evaluation:LabelAccuracyEvaluator
        sentence_transformer.evaluation:MSEEvaluatorFromDataFrame
    """,
    "None lets Vicinal fill batches by tokens, which is faster; results do not depend on it": """
        *(batch_size)
    """,
    "a CrossEncoder is made from a folder, which is named": """
        :CrossEncoder(model_name_or_path)
        :CrossEncoder(modules)
        base.modules:Transformer(transformer_task)
        base.modules:Transformer(module_output_name)
        cross_encoder.modules:LogitScore
    """,
    "dtype= says in what the whole model computes": """
        :CrossEncoder(keep_in_fp32_modules)
        :CrossEncoder.set_keep_in_fp32_modules
    """,
    "of models that are merged from several, or spread over devices": """
        :CrossEncoder.clear_placement_cache
        :CrossEncoder.merge
        :SentenceTransformer.clear_placement_cache
        :SentenceTransformer.merge
        sentence_transformers.base.merging
    """,
    "there it leads to a method that the modules of today lack": """
        :SentenceTransformer.get_sentence_features
        sentence_transformer.modules:BoW.get_sentence_features
    """,
    "fit is one loop; the trainers are the long way": """
        :CrossEncoder.old_fit
        :SentenceTransformer.old_fit
    """,
    "the base of the models is no public class": """
        base:BaseModel
    """,
    "modules do not know their model": """
        base.modules:InputModule.on_model_ready
        base.modules:Module.on_model_ready
        base.modules:Router.on_model_ready
    """,
    "an empty sequence means none": """
        base.modules:Router.load(module_classes)
    """,
    "of late interaction, of the other engines, or of inputs that are no text": """
        base.modules:Transformer(processing_kwargs)
        base.modules:Transformer(backend)
        base.modules:Transformer(unpad_inputs)
        base.modules:Transformer(query_length)
        base.modules:Transformer(document_length)
        base.modules:Transformer(query_expansion)
        base.modules:Transformer.query_expansion
        base.modules:Transformer.unpad_inputs
        base.modules.transformer:*
    """,
    "an attribute of each object": """
        base.modules:Transformer.auto_model
        base.modules:Transformer.tokenizer
    """,
    "None means 'mean', and leaves room for the old switches": """
        sentence_transformer.modules:Pooling(pooling_mode)
    """,
    "vicinal.distillation.distill makes static models": """
        sentence_transformer.modules:StaticEmbedding.from_distillation
    """,
    "words are split by WhitespaceTokenizer": """
        sentence_transformer.modules.tokenizer:*
    """,
    "the same order behind the settings of transformers, which the list of signatures leaves out": """
        :*TrainingArguments(*)
    """,
    "to do: parts": """
        :CrossEncoderTrainer.add_dataset_name_column
        :CrossEncoderTrainer.add_dataset_name_transform
        :CrossEncoderTrainer.add_model_card_callback
        :CrossEncoderTrainer.data_collator_class
        :CrossEncoderTrainer.get_batch_sampler
        :CrossEncoderTrainer.get_data_collator
        :CrossEncoderTrainer.get_default_loss
        :CrossEncoderTrainer.get_multi_dataset_batch_sampler
        :CrossEncoderTrainer.model_card_callback_class
        :CrossEncoderTrainer.model_card_data_class
        :CrossEncoderTrainer.model_class
        :CrossEncoderTrainer.override_model_in_loss
        :CrossEncoderTrainer.prepare_loss
        :CrossEncoderTrainer.preprocess_dataset
        :CrossEncoderTrainer.should_dataset_name_column_be_added
        :CrossEncoderTrainer.track_loss_components
        :CrossEncoderTrainer.training_args_class
        :CrossEncoderTrainer.validate_column_names
        :ParallelSentencesDataset.generate_data
        :ParallelSentencesDataset.get_embeddings
        :ParallelSentencesDataset.next_entry
        :SentenceTransformerTrainer.add_dataset_name_column
        :SentenceTransformerTrainer.add_dataset_name_transform
        :SentenceTransformerTrainer.add_model_card_callback
        :SentenceTransformerTrainer.data_collator_class
        :SentenceTransformerTrainer.get_batch_sampler
        :SentenceTransformerTrainer.get_data_collator
        :SentenceTransformerTrainer.get_default_loss
        :SentenceTransformerTrainer.get_multi_dataset_batch_sampler
        :SentenceTransformerTrainer.model_card_callback_class
        :SentenceTransformerTrainer.model_card_data_class
        :SentenceTransformerTrainer.model_class
        :SentenceTransformerTrainer.override_model_in_loss
        :SentenceTransformerTrainer.prepare_loss
        :SentenceTransformerTrainer.preprocess_dataset
        :SentenceTransformerTrainer.should_dataset_name_column_be_added
        :SentenceTransformerTrainer.track_loss_components
        :SentenceTransformerTrainer.training_args_class
        :SentenceTransformerTrainer.validate_column_names
        :mine_hard_negatives
        :resolve_ids
        base:BaseDataCollator
        base:BaseTrainer
        base:BaseTrainingArguments
        base:NoDuplicatesBatchSampler(precompute_hashes)
        base:NoDuplicatesBatchSampler(precompute_num_proc)
        base:NoDuplicatesBatchSampler(precompute_batch_size)
        base:PeftAdapterMixin
        base.losses:CachedLossMixin
        base.losses:RandContext
        base.losses:column_merging_disabled
        base.losses:has_static_embedding_input
        base.losses:uses_gradient_cache
        sentence_transformers.base.losses.merged_forward
        base.peft_mixin:peft_wrapper
        cross_encoder:CrossEncoderDataCollator
        cross_encoder.fit_mixin:EvaluatorCallback
        cross_encoder.fit_mixin:FitMixin
        cross_encoder.fit_mixin:FitMixinLoss
        cross_encoder.fit_mixin:OriginalCallback
        cross_encoder.fit_mixin:SaveModelCallback
        cross_encoder.losses:ADRMSELoss.forward(prompt)
        cross_encoder.losses:ADRMSELoss.forward(task)
        cross_encoder.losses:BinaryCrossEntropyLoss.forward(prompt)
        cross_encoder.losses:BinaryCrossEntropyLoss.forward(task)
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.calculate_loss
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.calculate_loss_and_cache_gradients
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.call_model_with_columns
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.call_model_with_pairs
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.embed_minibatch_iter
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.forward(prompt)
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.forward(task)
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.get_in_batch_negatives
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.predict_minibatch
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.predict_minibatch_iter
        cross_encoder.losses:CachedMultipleNegativesRankingLoss.uses_gradient_cache
        cross_encoder.losses:CrossEntropyLoss.forward(prompt)
        cross_encoder.losses:CrossEntropyLoss.forward(task)
        cross_encoder.losses:LambdaLoss.forward(prompt)
        cross_encoder.losses:LambdaLoss.forward(task)
        cross_encoder.losses:ListMLELoss.forward(prompt)
        cross_encoder.losses:ListMLELoss.forward(task)
        cross_encoder.losses:ListNetLoss.forward(prompt)
        cross_encoder.losses:ListNetLoss.forward(task)
        cross_encoder.losses:MSELoss.forward(prompt)
        cross_encoder.losses:MSELoss.forward(task)
        cross_encoder.losses:MarginMSELoss.forward(prompt)
        cross_encoder.losses:MarginMSELoss.forward(task)
        cross_encoder.losses:MarginMSELoss.logits_from_pairs
        cross_encoder.losses:MultipleNegativesRankingLoss.calculate_loss
        cross_encoder.losses:MultipleNegativesRankingLoss.call_model_with_columns
        cross_encoder.losses:MultipleNegativesRankingLoss.call_model_with_pairs
        cross_encoder.losses:MultipleNegativesRankingLoss.forward(prompt)
        cross_encoder.losses:MultipleNegativesRankingLoss.forward(task)
        cross_encoder.losses:MultipleNegativesRankingLoss.get_in_batch_negatives
        cross_encoder.losses:PListMLELoss.forward(prompt)
        cross_encoder.losses:PListMLELoss.forward(task)
        cross_encoder.losses:RankNetLoss.forward(prompt)
        cross_encoder.losses:RankNetLoss.forward(task)
        sentence_transformer:SentenceTransformerDataCollator(preprocess_fn)
        sentence_transformer:SentenceTransformerDataCollator(valid_label_columns)
        sentence_transformer:SentenceTransformerDataCollator(router_mapping)
        sentence_transformer:SentenceTransformerDataCollator(prompts)
        sentence_transformer:SentenceTransformerDataCollator(max_length)
        sentence_transformer:SentenceTransformerDataCollator.max_length
        sentence_transformer:SentenceTransformerDataCollator.maybe_warn_about_column_order
        sentence_transformer.evaluation:InformationRetrievalEvaluator.get_corpus_id_ranks
        sentence_transformer.evaluation:InformationRetrievalEvaluator.output_scores
        sentence_transformer.evaluation:TripletEvaluator(main_distance_function)
        sentence_transformer.fit_mixin:EvaluatorCallback
        sentence_transformer.fit_mixin:FitMixin
        sentence_transformer.fit_mixin:OriginalCallback
        sentence_transformer.fit_mixin:SaveModelCallback
        sentence_transformer.losses:BatchAllTripletLoss.batch_all_triplet_loss
        sentence_transformer.losses:BatchHardSoftMarginTripletLoss.batch_hard_triplet_loss
        sentence_transformer.losses:BatchHardSoftMarginTripletLoss.batch_hard_triplet_soft_margin_loss
        sentence_transformer.losses:BatchHardSoftMarginTripletLoss.get_anchor_negative_triplet_mask
        sentence_transformer.losses:BatchHardSoftMarginTripletLoss.get_anchor_positive_triplet_mask
        sentence_transformer.losses:BatchHardSoftMarginTripletLoss.get_triplet_mask
        sentence_transformer.losses:BatchHardTripletLoss.batch_hard_triplet_loss
        sentence_transformer.losses:BatchHardTripletLoss.get_anchor_negative_triplet_mask
        sentence_transformer.losses:BatchHardTripletLoss.get_anchor_positive_triplet_mask
        sentence_transformer.losses:BatchHardTripletLoss.get_triplet_mask
        sentence_transformer.losses:BatchSemiHardTripletLoss.batch_semi_hard_triplet_loss
        sentence_transformer.losses:CachedGISTEmbedLoss.calculate_loss*
        sentence_transformer.losses:CachedGISTEmbedLoss.embed_minibatch*
        sentence_transformer.losses:CachedGISTEmbedLoss.uses_gradient_cache
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.calculate_loss
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.directions
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.embed_minibatch
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.embed_minibatch_iter
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.forward_cached
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.gather_across_devices
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.hardness_mode
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.hardness_strength
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.mini_batch_num_tokens
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.partition_mode
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.scale
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.show_progress_bar
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.similarity_fct
        sentence_transformer.losses:CachedMultipleNegativesRankingLoss.uses_gradient_cache
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.calculate_loss
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.directions
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.embed_minibatch
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.embed_minibatch_iter
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.forward_cached
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.gather_across_devices
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.hardness_mode
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.hardness_strength
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.mini_batch_num_tokens
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.partition_mode
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.scale
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.show_progress_bar
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.similarity_fct
        sentence_transformer.losses:CachedMultipleNegativesSymmetricRankingLoss.uses_gradient_cache
        sentence_transformer.losses:EmbedDistillLoss.compute_loss_from_embeddings(teacher_embeddings)
        sentence_transformer.losses:MSELoss.compute_loss_from_embeddings(teacher_embeddings)
        sentence_transformer.losses:MegaBatchMarginLoss.calculate_loss
        sentence_transformer.losses:MegaBatchMarginLoss.embed_minibatch*
        sentence_transformer.losses:MegaBatchMarginLoss.forward_*
        sentence_transformer.losses:MegaBatchMarginLoss.mini_batch_num_tokens
        sentence_transformer.losses:MegaBatchMarginLoss.show_progress_bar
        sentence_transformer.losses:MegaBatchMarginLoss.uses_gradient_cache
        sentence_transformer.losses:OnlineContrastiveLoss.forward(size_average)
        sentence_transformer.losses.adaptive_layer:*Decorator
        sentence_transformer.losses.matryoshka:CachedLossDecorator
        sentence_transformer.losses.matryoshka:ForwardDecorator
        sentence_transformer.losses.matryoshka:shrink
        util:ORIGINAL_TRANSFORMER_MODELS
        util:all_gather_padded
        util:cat_padded_token_embeddings
        util:check_teacher_targets
        util:repad_flattened_features
        util:stack_padded_token_embeddings
        util.decorators:F
        sentence_transformers.util.deprecated_import
        util.distributed:distributed_evaluation
        util.environment:suggest_extra_on_exception
    """,
}

#: where -> reason
DIFFERENCES = {where: reason for reason, places in _WHERE.items() for where in places.split()}

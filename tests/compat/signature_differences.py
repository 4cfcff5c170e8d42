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
    """,
    "None lets Vicinal fill batches by tokens, which is faster; results do not depend on it": """
        *(batch_size)
    """,
    "a CrossEncoder is made from a folder, which is named": """
        :CrossEncoder(model_name_or_path)
        :CrossEncoder(modules)
        base.modules:Transformer(transformer_task)
        base.modules:Transformer(module_output_name)
    """,
    "dtype= says in what the whole model computes": """
        :CrossEncoder(keep_in_fp32_modules)
        :CrossEncoder.set_keep_in_fp32_modules
    """,
    "merge raises an error that says what to do; models are merged by their state_dict": """
        sentence_transformers.base.merging
    """,
    "there it leads to a method that the modules of today lack": """
        :SentenceTransformer.get_sentence_features
        sentence_transformer.modules:BoW.get_sentence_features
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
    "a tokenizer has one vocabulary; texts are called text": """
        sentence_transformer.modules.tokenizer:TransformersTokenizerWrapper.get_vocab(vocab)
        sentence_transformer.modules.tokenizer:TransformersTokenizerWrapper.tokenize(sentence)
        sentence_transformer.modules.tokenizer:WordTokenizer.get_vocab(vocab)
    """,
    "the same order behind the settings of transformers, which the list of signatures leaves out": """
        :*TrainingArguments(*)
    """,
    "add_model_card_callback does nothing unless overridden: the card is written from what the trainer records": """
        *Trainer.model_card_callback_class
        *Trainer.model_card_data_class
    """,
    "a trainer takes every model with the methods of its kind (model_kind, model_method)": """
        *Trainer.model_class
    """,
    "of the class that only its subclasses fill in": """
        base:BaseTrainer.data_collator_class
        base:BaseTrainer.training_args_class
    """,
    "a batch says of which data set it is (batch['dataset_name']) without a column for it": """
        *Trainer.add_dataset_name_column
        *Trainer.add_dataset_name_transform
        *Trainer.should_dataset_name_column_be_added
    """,
    "what wraps the model for several processes holds the losses too, so that they need no other model": """
        *Trainer.override_model_in_loss
    """,
    "the class that SentenceTransformer and CrossEncoder have in common; make one of these": """
        base:BaseModel(*)
        base:BaseModel.clear_placement_cache
        base:BaseModel.compile
    """,
    "the same order behind the settings of transformers": """
        base:BaseTrainingArguments(*)
    """,
    "adapters are checked when one is added; active_adapters() names those in use": """
        base:PeftAdapterMixin.active_adapter
        base:PeftAdapterMixin.check_peft_compatible_model
        base:PeftAdapterMixin.has_peft_compatible_model
        base.peft_mixin:peft_wrapper
    """,
    "fit is a method of each model, one loop without transformers' callbacks": """
        *fit_mixin:EvaluatorCallback
        *fit_mixin:FitMixin
        *fit_mixin:FitMixinLoss
        *fit_mixin:OriginalCallback
        *fit_mixin:SaveModelCallback
    """,
    "a teacher is asked while items are read; add_dataset and load_data fill the set": """
        :ParallelSentencesDataset.generate_data
        :ParallelSentencesDataset.get_embeddings
        :ParallelSentencesDataset.next_entry
    """,
    "texts are always compared by their hashes, made in one pass": """
        base:NoDuplicatesBatchSampler(precompute_hashes)
        base:NoDuplicatesBatchSampler(precompute_num_proc)
        base:NoDuplicatesBatchSampler(precompute_batch_size)
    """,
    "cached losses work in two passes of their own; forward(features, labels) is what to call or override": """
        base.losses:CachedLossMixin
        base.losses:RandContext
        base.losses:column_merging_disabled
        base.losses:has_static_embedding_input
        base.losses:uses_gradient_cache
        sentence_transformers.base.losses.merged_forward
        *losses:Cached*Loss.*
        *losses:MegaBatchMarginLoss.*
        sentence_transformer.losses.adaptive_layer:*Decorator
        sentence_transformer.losses.matryoshka:CachedLossDecorator
        sentence_transformer.losses.matryoshka:ForwardDecorator
        sentence_transformer.losses.matryoshka:shrink
    """,
    "a CrossEncoder reads pairs as they are: put the prompt into the data": """
        cross_encoder.losses:*.forward(prompt)
        cross_encoder.losses:*.forward(task)
    """,
    "inner steps of a loss; forward(inputs, labels) is what to call or override": """
        cross_encoder.losses:MarginMSELoss.logits_from_pairs
        cross_encoder.losses:MultipleNegativesRankingLoss.calculate_loss
        cross_encoder.losses:MultipleNegativesRankingLoss.call_model_with_columns
        cross_encoder.losses:MultipleNegativesRankingLoss.call_model_with_pairs
        cross_encoder.losses:MultipleNegativesRankingLoss.get_in_batch_negatives
        sentence_transformer.losses:Batch*TripletLoss.*
        sentence_transformer.losses:EmbedDistillLoss.compute_loss_from_embeddings(teacher_embeddings)
        sentence_transformer.losses:MSELoss.compute_loss_from_embeddings(teacher_embeddings)
        sentence_transformer.losses:OnlineContrastiveLoss.forward(size_average)
    """,
    "the parts of a loss are noted where it is computed, and logged beside it": """
        *Trainer.track_loss_components
    """,
    "inner steps of an evaluator; calling it gives all metrics": """
        sentence_transformer.evaluation:InformationRetrievalEvaluator.get_corpus_id_ranks
        sentence_transformer.evaluation:InformationRetrievalEvaluator.output_scores
    """,
    "None means that the old argument was not given": """
        sentence_transformer.evaluation:TripletEvaluator(main_distance_function)
    """,
    "for token embeddings of late interaction, or for batches without padding": """
        util:all_gather_padded
        util:cat_padded_token_embeddings
        util:repad_flattened_features
        util:stack_padded_token_embeddings
    """,
    "a bare name is looked for under sentence-transformers/ first, then as it is, without a list": """
        util:ORIGINAL_TRANSFORMER_MODELS
    """,
    "one process evaluates and tells the others": """
        util.distributed:distributed_evaluation
    """,
    "for annotations, for images and sound, or for paths that Vicinal finds by itself": """
        util.decorators:F
        sentence_transformers.util.deprecated_import
        util.environment:suggest_extra_on_exception
    """,
}

#: where -> reason
DIFFERENCES = {where: reason for reason, places in _WHERE.items() for where in places.split()}

"""The parts of examples/distill_reranker.py: lists of passages, the teacher, the student."""

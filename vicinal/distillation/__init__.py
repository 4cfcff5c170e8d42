"""Static models made from transformers."""

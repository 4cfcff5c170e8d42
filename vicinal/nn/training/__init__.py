"""The trainers, on top of transformers' own."""

"""Cross-encoders in torch: the module, its engine, losses and training."""

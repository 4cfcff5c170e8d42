"""The torch layer: the only folder that imports torch."""

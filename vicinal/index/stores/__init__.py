"""Where an index can be kept. :mod:`vicinal.index.stores.base` is the seam."""

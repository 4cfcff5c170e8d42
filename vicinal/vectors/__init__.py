"""Mathematics on vectors: similarity, search, mining, clustering, quantisation."""

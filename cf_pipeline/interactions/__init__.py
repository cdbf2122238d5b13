"""Who did what with which project: weighting, pruning, the matrix, the split."""

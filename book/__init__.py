"""What chapters are made of: controls, scenes, figures, equations, words. NumPy and bnlib, nothing else."""

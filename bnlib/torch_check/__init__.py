"""The same network in PyTorch, and the comparison with it."""

"""``python -m bnlib.torch_check``: see `check`."""

from .check import main

main()

"""Moved: `bnlib.torch_check`; ``python -m bnlib.referee`` still works."""

from .torch_check.check import check, main

__all__ = ["check"]

if __name__ == "__main__":
    main()

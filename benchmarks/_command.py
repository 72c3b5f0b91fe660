"""What the command lines of the benchmarks have in common."""

import argparse


def command(about: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows ``--reduced``; ``about`` is the script's docstring."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument(
        "--reduced", action="store_true", help="the smallest sizes, to see in seconds that it runs"
    )
    return parser

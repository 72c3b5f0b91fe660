"""What a reader takes away from a chapter: its numbers as CSV, and a script that computes them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np

from .chapter import Chapter, View
from .controls import Values, write

KINDS = {"csv": "csv", "python": "py"}


def origin(address: Mapping[str, str]) -> list[str]:
    """Say in two sentences where the numbers come from."""
    query = urlencode(address, safe=",:~")
    return [
        f"Computed by bnlib, the library of BatchNorm Lab, with NumPy {np.__version__}",
        f"Settings in the page's address: {'?' + query if query else 'none, all are the defaults'}",
    ]


def comments(lines: Sequence[str]) -> str:
    """Write lines as comments of a CSV file."""
    return "".join(f"# {line}\n" for line in lines)


def file_name(chapter: Chapter, what: str) -> str:
    """Name a file, such as batchnorm-one-batch.csv."""
    return f"batchnorm-{chapter.name.replace('_', '-')}.{KINDS[what]}"


def csv_text(chapter: Chapter, values: Values, view: View) -> str:
    """Write the view's table, one line a row; numbers have all their digits, what isn't there is empty."""
    head = [f"{chapter.question} From BatchNorm Lab", *origin(write(chapter.table, values))]
    columns = [np.asarray(column).tolist() for column in view.table.values()]
    rows = (",".join(map(_field, row)) for row in zip(*columns, strict=True))
    return comments(head) + ",".join(view.table) + "\n" + "".join(f"{row}\n" for row in rows)


def script_text(chapter: Chapter, values: Values) -> str:
    """Write the chapter's script under a head that says where it comes from.

    Raises
    ------
    ValueError
        If the chapter has no script.
    """
    if chapter.script is None:
        raise ValueError(f"chapter {chapter.name} has no script to take away; its numbers are in the CSV")
    lines = "\n".join(origin(write(chapter.table, values)))
    return f'"""{chapter.question}\n\n{lines}\n"""\n\n{chapter.script(values)}'


def _field(value: Any) -> str:
    if isinstance(value, float) and np.isnan(value):
        return ""
    text = value if isinstance(value, str) else repr(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text

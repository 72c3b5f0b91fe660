"""A packed message that the browser's `unpack` is tested with (assets/tests/channel.test.js).

``python -m tests.shared.test_message`` writes it anew, from the root of the repository.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from live.messages import pack

MESSAGE = Path(__file__).with_name("message.json")

# Numbers that float32 keeps, so that they are the same in JSON.
HEADER: dict[str, Any] = {
    "kind": "view",
    "id": 7,
    "text": "μ = −0.25, √ε ≪ σ",
    "figures": {
        "batch": {
            "data": [
                {"type": "scatter", "x": {"$": 0}, "y": {"$": 1}, "name": "x"},
                {"type": "heatmap", "z": {"$": 2}},
                {"type": "image", "z": {"$": 3}},
            ],
            "layout": {"xaxis": {"range": [0, 4], "ticktext": ["0", "4"]}, "meta": None, "showlegend": False},
        }
    },
}
ARRAYS = {
    "0": np.array([0.0, 1.0, 2.0, 3.0]),
    "1": np.array([-0.25, 1e6, 0.5, -2.0]),
    "2": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "3": np.array([[[0, 128, 255]], [[1, 2, 3]]], np.uint8),
    "empty": np.empty(0),
    "single": np.array(1.5),
}


def written() -> str:
    """Write the message, and beside it what is in it."""
    content = {
        "base64": base64.b64encode(pack(HEADER, ARRAYS)).decode(),
        "header": HEADER,
        "arrays": {name: array.ravel().tolist() for name, array in ARRAYS.items()},
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def test_the_message_is_what_the_server_would_send() -> None:
    """The browser's test reads this file: after a change of the format it has to be written anew."""
    assert MESSAGE.read_text("utf-8") == written(), "run: python -m tests.shared.test_message"


if __name__ == "__main__":
    MESSAGE.write_text(written(), "utf-8")

"""What telemetry costs: `advance` as it ships against the same with recording switched off.

The network is 64-64-64-64-10 with batch norm and ReLU on the digits, one thread. Contestants take turns
in short rounds, in processor time; the cost is the median over the rounds of the ratio within a round, the
other columns are medians too.

    make bench
    PYTHONPATH=. .venv/bin/python benchmarks/telemetry.py --reduced    # one row, in seconds
"""

# ruff: noqa: E402 (the number of threads is settled before NumPy is loaded)
from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import time
from dataclasses import replace
from statistics import median

import bnlib
from benchmarks._command import command

BATCHES, REPLICAS = (2, 8, 32, 128), (1, 8)
NEVER, ROUNDS = 10**6, 15
FIGURES = ("1 2",)


def microseconds(run: bnlib.Run, steps: int) -> float:
    """Time of one step of `run`."""
    begin = time.process_time()
    bnlib.advance(run, steps)
    return (time.process_time() - begin) / steps * 1e6


def main() -> None:
    """Print every figure."""
    reduced = command(__doc__).parse_args().reduced
    sizes, seeds, times = ((2,), (1,), 3) if reduced else (BATCHES, REPLICAS, ROUNDS)
    shipped = bnlib.RunConfig()
    period = shipped.validate_every
    print(f"recording every {shipped.record_every} steps, validation every {period}; microseconds")
    print("seeds batch     step  with telemetry   cost  a frame  a validation")
    for replicas in seeds:
        for batch in sizes:
            config = replace(shipped, batch_size=batch, replicas=replicas)
            runs = [
                bnlib.advance(bnlib.start(replace(config, record_every=every, validate_every=validated)), 1)
                for every, validated in (
                    (NEVER, NEVER),
                    (shipped.record_every, period),
                    (1, NEVER),
                    (1, 1),
                )
            ]
            lengths = (period, period, 20, 20)
            rounds = [list(map(microseconds, runs, lengths)) for _ in range(times)]
            cost = median(with_telemetry / without for without, with_telemetry, *_ in rounds) - 1
            step, recorded, framed, validated = map(median, zip(*rounds, strict=True))
            print(
                f"{replicas:5d} {batch:5d} {step:8.0f} {recorded:15.0f} {cost:6.1%} "
                f"{framed - step:8.0f} {validated - framed:13.0f}"
            )


if __name__ == "__main__":
    main()

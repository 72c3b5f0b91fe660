"""Training as a pure function: data in, runs out, and what is recorded and measured of them."""

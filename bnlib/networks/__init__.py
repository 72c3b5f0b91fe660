"""Networks: their parameters, forward, backward and in inference."""

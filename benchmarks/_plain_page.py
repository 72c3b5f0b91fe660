"""What `page.py` compares with: the same three histograms behind st.slider, a fragment and Plotly."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

import bnlib

x = np.load("assets/digits_batch.npy")[:256]


@st.fragment
def histograms() -> None:
    """Three histograms, made anew when a slider is released."""
    gamma = st.slider("gamma", -4.0, 4.0, 1.0, 0.05)
    beta = st.slider("beta", -4.0, 4.0, 0.0, 0.05)
    eps = st.select_slider("eps", [0.0, *(10.0**k for k in range(-8, 1))], 1e-5)
    y, _ = bnlib.batch_norm(x[:, None], np.array([gamma]), np.array([beta]), eps=eps)
    normalized, _ = bnlib.batch_norm(x[:, None], eps=eps)
    for name, values in {"x": x, "normalized": normalized[:, 0], "y": y[:, 0]}.items():
        figure = go.Figure(go.Histogram(x=values, xbins={"start": -6, "end": 6, "size": 0.2}))
        figure.update_layout(title=name, height=200, xaxis_range=[-6, 6])
        st.plotly_chart(figure, key=name)


histograms()

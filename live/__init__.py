"""The live channel: a WebSocket beside Streamlit, and the recordings that it shows."""

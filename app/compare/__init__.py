"""Picked runs side by side, as values: tables, sentences and files. No Streamlit."""

"""Promotion requests and the promotion record as tables and sentences. No Streamlit."""

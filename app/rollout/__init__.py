"""Rollouts as tables and sentences. No Streamlit."""

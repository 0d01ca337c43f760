"""What a check found, as tables and sentences. No Streamlit."""

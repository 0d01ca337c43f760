"""The panel's door: who comes in, and what every answer of the server says."""

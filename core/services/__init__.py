"""The processes of an installation: what they are, whether they are healthy, up and down."""

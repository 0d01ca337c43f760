"""The life cycle of a model: data, training, scoring, promotion, deployment, monitoring."""

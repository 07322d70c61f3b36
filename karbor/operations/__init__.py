"""The verbs: what a user may ask."""

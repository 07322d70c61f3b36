"""Triggers, scheduled operations and retention: what Karbor does without being asked again."""

"""Measurements of Karbor; none is installed with it, and none is a test."""

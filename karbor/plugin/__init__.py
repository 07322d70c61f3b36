"""Contracts for those who extend Karbor. Each is one short file whose docstrings oblige."""

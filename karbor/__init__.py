"""Karbor: data protection for OpenStack applications."""

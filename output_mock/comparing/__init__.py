"""Finds out where two servers answer differently, by sending both the same random sequences of requests."""

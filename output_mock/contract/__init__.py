"""What is on the wire of the Output API, as data."""

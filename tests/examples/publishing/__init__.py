"""A small application of somebody who uses the Output API: it has posts written, reviewed and published."""

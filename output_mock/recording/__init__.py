"""Records what a server answers to a scenario of requests, and plays it again to compare."""

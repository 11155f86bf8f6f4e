"""Records what a server answers to a scenario of requests, and replays it to compare."""

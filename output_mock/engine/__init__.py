"""Runs scripts on a clock: executions, runs, history, signals, queries, updates, children, retries.

Knows no HTTP. `world.World` is the way in.
"""

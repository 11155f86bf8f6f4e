"""Worlds outside the process: the state file of `serve --state`, and snapshots as files.

Both consist of the records of the engine (`engine/records.py`), and both write them in the same format:
`json_values`, `json_history`, `json_runs` and `json_worlds` write the records as JSON, `scripts` writes the
workflows, `faults` and `calls` the rest of a world, and `worlds` all of it together. `database` is the
state file, and `control.saver` writes to it while the server runs.

Reading checks all JSON: an invalid field raises `Unreadable`, which says where. Times are nanoseconds. A
value that may be undefined is a list with one element or none.
"""

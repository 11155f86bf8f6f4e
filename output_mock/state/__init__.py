"""Worlds outside the process: the state file of `serve --state`, and snapshots as files.

Both are made of the records of the engine (`engine/records.py`), and both write them in the same way:
`json_values`, `json_history`, `json_runs` and `json_worlds` have the records as JSON, `scripts` the
workflows, `faults` and `calls` what else a world holds, `worlds` all of it together. `database` is the state
file, and `control.saver` writes to it while the server runs.

JSON is not trusted: a wrong field raises `Unreadable`, which says where. Times are nanoseconds; a value that
may be undefined is a list with one element or none.
"""

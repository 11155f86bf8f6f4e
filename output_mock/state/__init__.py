"""Worlds outside of the process: the state file of `serve --state`, and snapshots as files.

Both are made of the records of the engine (`engine/records.py`), and both write them in the same way:
`json_form` has the records as JSON, `scripts` the workflows, `faults` and `calls` what else a world holds,
`worlds` all of it together. `database` is the state file, and `saver` writes to it while the server runs.
"""

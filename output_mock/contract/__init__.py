"""The wire format of the Output API, as data.

Names in parentheses at the end of docstrings and comments, such as "(history_paging)", are recordings that
show the behaviour: `tests/recordings/0.11/history_paging.json`. `docs/explain/fidelity.md` says more."""

"""The API over HTTP: routing, validation, auth, errors, streaming. Asks the engine for everything else."""

"""Scripts as YAML files: reading them, the language that they are written in, and playing them.

Nothing in here, and no YAML, is imported before a YAML file is loaded.
"""

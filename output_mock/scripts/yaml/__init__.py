"""Scripts as YAML files: read them, define their language, and run them.

Nothing here, and no YAML library, is imported before a YAML file is loaded.
"""

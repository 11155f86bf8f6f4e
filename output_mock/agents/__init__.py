"""Tools for agents that speak the Model Context Protocol: they script a fake, drive it and look at it.

What they can do is what the control plane can do. A script that an agent writes is YAML, never Python. Needs
the extra `output-mock[mcp]`.
"""

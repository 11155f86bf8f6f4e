"""The control plane: what a Python test can do with a fake, over HTTP for every language; and worlds.

worlds      the fakes that one server holds, by name
front       the server's application: which world a request is for, or whether it is for the control plane
plane       answers what is asked of the control plane: token, routes, bodies, errors
operations  what an operation is; the modules named for what they are about have the operations themselves
openapi     the document that describes them
"""

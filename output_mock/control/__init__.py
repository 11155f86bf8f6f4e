"""The control plane: what a Python test can do with a fake, over HTTP and for every language; and worlds.

worlds      the fakes that one server holds, by name
front       the server's application: which world a request is for, or whether it is for the control plane
plane       finds the operation that a request asks for, and runs it
reading     reads queries and bodies, and checks them against the operation's schemas
problems    the errors
operation   the description of an operation
operations  all operations; they are defined in modules named after their subject
openapi     the document that describes them
"""

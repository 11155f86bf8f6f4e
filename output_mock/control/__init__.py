"""The control plane: what a Python test can do with a fake, over HTTP for every language; and worlds.

worlds      the fakes that one server holds, by name
front       the server's application: which world a request is for, or whether it is for the control plane
plane       finds what is asked of the control plane, and has it done
reading     queries and bodies, held against the operation's schemas
problems    what is answered when something cannot be done
operation   what an operation is
operations  all of them; the modules named for what they are about have the operations themselves
openapi     the document that describes them
"""

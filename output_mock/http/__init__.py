"""The API over HTTP. It asks the engine for everything else.

app              the WSGI application of one world, with its journal
request_handler  the order of things: read, guard, route, validate, do, make a response
handlers         what each operation does, by its name in `contract.operations`
faults           what goes wrong on purpose, a class for each kind
stream, pages    histories as they are sent
"""

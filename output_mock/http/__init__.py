"""The API over HTTP. The engine does everything else.

app              the WSGI application of one world, with its journal
request_handler  the steps: read, authorize, route, validate, run the operation, make a response
handlers         the operations, by their names in `contract.operations`
faults           what goes wrong on purpose, with a class for each kind
stream, pages    how histories are sent
"""

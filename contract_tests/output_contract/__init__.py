"""The contract of the Output API as a test suite, and the workflows that it runs.

`output-mock verify URL` and `pytest --pyargs output_contract --output-url URL` tell whether a server conforms
to the Output API. The modules, from the bottom up:

    conformity    does an answer fit the OpenAPI document?
    transport     how requests get to the server: a socket, or a WSGI application in process
    exchange      a request and its answer, as a curl line, with what is secret left out
    checks        what each test says of itself: an id, a level, a source
    bounds        how many requests and seconds there are, and which runs have yet to be ended
    server        the server under test: its catalog, and who of its workflows does what
    client        sends one test's requests and holds every answer against the document
    events        compares histories
    verdict       what came out, as plain data; report_text, report_junit and report_html write it down
    plugin        the pytest plugin that ties these together; verification runs it

`test_*.py` are the checks themselves, an area each; `pack.py` (and `typescript/`) the workflows.
"""

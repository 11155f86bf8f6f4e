"""The contract of the Output API as a test suite, and the workflows that it runs.

`output-mock verify URL` and `pytest --pyargs output_contract --output-url URL` tell whether a server conforms
to the Output API. The modules, from the bottom up:

    versions      which versions a deployment is judged as, and which versions a check holds for
    conformity    does an answer fit the OpenAPI document of a version?
    exchange      a request and its answer, as a curl line, with what is secret left out
    coding        reads bodies that came compressed; network_errors says in words what went wrong
    checks        what each test says of itself: an id, a level, a source, versions
    bounds        how many requests and seconds there are, and which runs have yet to be ended
    server        the server under test: its catalog, and which of its workflows does what
    preflight     is there an Output API at all? detection finds out its versions
    client        sends one test's requests and holds every answer against the document
    events        compares histories; results reads results of either shape
    evidence      what an exchange shows of what stands in front of the server
    causes        groups failed checks by that, and says what to do
    verdict       what came out, as plain data; report_text, report_junit and report_html write it down
    plugin        the pytest plugin that ties these together; verification runs it

`test_*.py` are the checks themselves, an area each; `pack.py` (and `typescript/`) the workflows.
"""

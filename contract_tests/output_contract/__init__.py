"""The contract of the Output API as a test suite, and the workflows that it runs.

`output-mock verify URL` and `pytest --pyargs output_contract --output-url URL` check whether a server
conforms to the Output API. The modules, from the bottom up:

    versions      which versions a deployment is judged as, and which versions a check holds for
    fitting       does a value fit a schema?
    conformity    does an answer fit the OpenAPI document of a version?
    exchange      a request and its answer, as a curl line, without secrets
    coding        decodes compressed bodies; network_errors explains network errors
    checks        the marks of each test: an id, a level, a source, versions
    bounds        the limits of requests and seconds, and the runs still to end
    server        the server under test: its catalog, and the roles of its workflows
    preflight     is there an Output API at all? detection finds its versions
    client        sends one test's requests and checks every answer against the document
    events        compares histories; results reads results of either shape
    evidence      what an exchange reveals about proxies in front of the server
    causes        groups failed checks by evidence, and says what to do
    verdict       the outcome, as plain data; report_text, report_junit and report_html write it
    plugin        the pytest plugin that connects these; verification runs it

`test_*.py` are the checks, one file for each area. `pack.py` (and `typescript/`) has the workflows.
"""

"""Requests that workflows send to the application (`ctx.send_http_request`), and who answers them.

The real SDK sends them from an activity, with `fetch`. Here they go to an application that the test gives, to
a scripted answer, or over HTTP to this machine and to hosts that were named. Nothing is ever sent elsewhere.
"""

"""Functions that a server offers to an application, by their keys in the WSGI environment.

`output_mock.server` has them all, an in-process client some, another WSGI server none.
"""

from __future__ import annotations

# Takes a function to call once the client has gone.
WHEN_GONE = "output_mock.when_gone"
# Sends an error instead of an answer that will not come; also takes the last frame of a stream.
GIVE_UP = "output_mock.give_up"
# Makes the end of the connection a TCP reset.
RESET = "output_mock.reset"
# Returns the IP address that the connection has come in by.
LOCAL_ADDRESS = "output_mock.local_address"

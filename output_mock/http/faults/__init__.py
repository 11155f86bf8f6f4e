"""What goes wrong between a client and the API: error answers, delays, dropped connections, cut streams.

A fault affects some of the calls that match it. `mock.fail_next` and similar methods, presets and the
control plane add faults.
"""

from output_mock.http.faults.active import AppliedFault, Faults
from output_mock.http.faults.connection import Loss
from output_mock.http.faults.fault import Fault
from output_mock.http.faults.kind import Dropped
from output_mock.http.faults.presets import PRESETS, preset

__all__ = ["PRESETS", "AppliedFault", "Dropped", "Fault", "Faults", "Loss", "preset"]

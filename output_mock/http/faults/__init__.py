"""What goes wrong between a client and the API: error answers, delays, dropped connections, cut streams.

A fault strikes some of the calls that fit it. The plugin's `fail_next` and its like make them, and so do the
presets and the control plane.
"""

from output_mock.http.faults.connection import Loss
from output_mock.http.faults.fault import Fault
from output_mock.http.faults.kind import Dropped
from output_mock.http.faults.presets import PRESETS, preset
from output_mock.http.faults.standing import Faults, Strike

__all__ = ["PRESETS", "Dropped", "Fault", "Faults", "Loss", "Strike", "preset"]

"""What names and ids may be that a request makes."""

from __future__ import annotations

LONGEST_NAME = 64
NAME = "^[A-Za-z0-9_.-]{1,64}$"
NAME_WORDS = "use up to 64 letters, digits and _ . -"
LONGEST_ID = 1000

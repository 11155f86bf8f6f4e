"""The workflows that the real deployment ran while it was recorded, in our script language."""

"""What a script may see, whichever engine plays it."""

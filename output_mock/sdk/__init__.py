"""What scripts can use, on either engine."""

"""A small application that uses the Output API to have posts written, reviewed and published."""

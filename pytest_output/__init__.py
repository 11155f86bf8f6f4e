"""The pytest plugin of output-mock: fakes of the Output API as fixtures."""

"""`python -m output_mock` is `output-mock`."""

from output_mock.cli import main

if __name__ == "__main__":
    main()

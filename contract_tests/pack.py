"""The workflows that the contract suite runs, for `output-mock serve contract_tests/pack.py --clock real`."""

from output_contract.pack import script

__all__ = ["script"]

"""Figures, each next to its peer or limit of the same run; asserts nothing."""

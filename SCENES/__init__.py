"""Behavioural gates: stories told in virtual time and live, whose shapes are asserted. See README.md."""

# ruff: noqa: N999

"""Evaluation of trained networks on domains."""

"""Screens many studies: one result folder each, and a summary of all."""

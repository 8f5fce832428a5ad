"""Exports of a run in the formats of other tools, one module each, made from its journal."""

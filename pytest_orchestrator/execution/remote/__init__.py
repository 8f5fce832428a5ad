"""Attempts of steps on other machines; `addon` lists the names for an addon."""

"""Test certificate of a recipe: verdict, view, and HTML page."""

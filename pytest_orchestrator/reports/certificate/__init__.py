"""Test certificate of a recipe: verdict, view, HTML page and PDF."""

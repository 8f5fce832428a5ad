"""Expression language: `${{ … }}` in values, evaluated in a Jinja2 sandbox."""

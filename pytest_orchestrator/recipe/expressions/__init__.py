"""Expression language: `${{ … }}` in values, evaluated by a Jinja2 sandbox."""

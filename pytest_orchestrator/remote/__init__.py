"""The Context of a run from another process: lines of JSON, whatever carries them."""

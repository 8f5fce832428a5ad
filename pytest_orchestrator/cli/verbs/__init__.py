"""One file a verb; a new file is a new verb.

A verb declares its arguments and runs. At the top it imports next to nothing: all verbs are
imported to tell of them, and one is run.
"""

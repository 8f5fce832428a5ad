"""Commands of the command line, one module each; a new module is a new command.

A module declares its arguments and runs the command. It imports little at its top level, because
every start imports all of these modules to build the parser.
"""

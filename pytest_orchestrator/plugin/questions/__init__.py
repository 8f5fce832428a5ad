"""Questions of steps to people: answers given before the run, queue, terminal form."""

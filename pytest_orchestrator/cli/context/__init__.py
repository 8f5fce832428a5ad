"""What the verb `ctx` can be asked, each by the Context that it is asked of."""

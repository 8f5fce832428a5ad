"""Past runs: the questions that lists, reports and statistics ask of the history."""

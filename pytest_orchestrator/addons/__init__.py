"""Parts that few sessions use, each written on public names as other distributions would."""

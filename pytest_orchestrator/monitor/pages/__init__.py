"""What a browser shows: each page lays out what others have worked out."""

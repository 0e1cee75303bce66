"""What an artist's application runs; one folder per host."""

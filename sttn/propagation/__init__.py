"""Real pixels first: what a hole hides is fetched from frames in which it shows."""

"""One page that shows what a run found out; it needs no other file and no network."""

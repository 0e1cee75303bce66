"""A blind ranking by people, as for Fig. 7: a page that collects answers, and their sum."""

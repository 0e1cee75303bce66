"""What users choose. Nothing here needs torch, so that what only asks and tells starts at once."""

"""Days that pass quickly: data arrives, labels follow late, and the whole loop can be seen."""

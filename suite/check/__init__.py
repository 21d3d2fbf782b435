"""What decides 'correct', what arrays are filled with, and what ratios of times are worth."""

"""Does the search pay on the real objective? Its recorded trials, replayed by look-up."""

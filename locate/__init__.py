"""The second stage: looks at a photo again with the text in hand, and gives a tight box."""
